"""deploy/caddy: what Caddy logs of a failure has no code of a sign-in in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.deploy.caddy import BehindCaddy
from tests.support.waiting import wait_for

BROKEN_OFF = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n"
CODE = "the-code-of-a-sign-in"


@pytest.fixture(scope="module")
def here() -> Iterator[BehindCaddy]:
    with BehindCaddy() as here:
        yield here


def test_a_response_that_breaks_off_is_logged_without_its_query(here: BehindCaddy) -> None:
    here.api.answers["/broken"] = BROKEN_OFF
    browser = here.user()
    page = {"Referer": f"{here.url}/auth/callback?code={CODE}"}
    with browser.fetch(
        "GET", f"/api/broken?code={CODE}", headers=page, stream=True, timeout=5
    ) as answer:
        assert answer.status_code == 200
    wait_for(lambda: "incomplete response" in here.front.output, "Caddy's log")
    assert "/broken?" in here.front.output
    assert CODE not in here.front.output


def test_an_outage_is_logged_without_the_query(here: BehindCaddy) -> None:
    browser = here.browser()
    for replica in here.cluster.replicas:
        replica.stop()
    assert browser.fetch("GET", f"/auth/callback?code={CODE}&state=x").status_code == 503
    wait_for(lambda: "connection refused" in here.front.output, "Caddy's log")
    assert CODE not in here.front.output
