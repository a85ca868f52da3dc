"""deploy/nginx when something is away: never a 500, never a sign-out, and nobody is let in."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.deploy.nginx import BehindNginx
from tests.support.waiting import wait_for


@pytest.fixture
def here() -> Iterator[BehindNginx]:
    with BehindNginx(replicas=2) as here:
        yield here


def test_promise_5_what_is_away_is_503_and_comes_back(here: BehindNginx) -> None:
    browser = here.browser()
    assert browser.api("/items").status_code == 200
    seen = len(here.api.seen)

    # Redis: the BFF says it, through nginx's own 500.
    here.cluster.redis.stop()
    for path in ("/items", "/live/1", "/events"):
        answer = browser.api(path)
        assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
        assert int(answer.headers["Retry-After"]) >= 1
    here.cluster.redis.start_again()
    assert len(here.api.seen) == seen
    assert browser.api("/items").status_code == 200

    # One of two replicas: nobody notices.
    first, second = here.cluster.replicas
    first.stop()
    for _ in range(6):
        assert browser.api("/items").status_code == 200
        assert browser.profile().status_code == 200
    seen = len(here.api.seen)

    # Both: nginx says it.
    second.stop()
    for method, path in (("GET", "/api/items"), ("POST", "/api/items"), ("GET", "/api/events")):
        answer = browser.fetch(method, path)
        assert (answer.status_code, answer.json()["code"]) == (503, "bff_away")
        assert int(answer.headers["Retry-After"]) >= 1
        assert answer.headers["Cache-Control"] == "no-store"
        assert "Set-Cookie" not in answer.headers
    page = browser.navigate("/")
    assert (page.status_code, page.headers["Content-Type"]) == (503, "text/html; charset=utf-8")
    assert int(page.headers["Retry-After"]) >= 1
    # Its address has a code: what the browser asks for next must not tell it to the log of errors.
    page = browser.navigate("/auth/callback?code=x&state=y")
    assert (page.status_code, page.headers["Referrer-Policy"]) == (503, "no-referrer")
    assert len(here.api.seen) == seen

    here.cluster.start_replica(here.cluster.ports[1])
    wait_for(lambda: browser.api("/items").status_code == 200, "an answer")


def test_with_a_wrong_key_the_bff_carries_everything(here: BehindNginx) -> None:
    """It is slower, and stays right."""
    file = here.folder / "key.conf"
    file.write_text(file.read_text().replace(here.key, "x" * 64))
    here.front.stop()
    here.front.start()
    here.front.wait_for_port(here.port)
    browser = here.browser()
    answer = browser.api("/items")
    assert answer.status_code == 200
    assert answer.json()["fields"]["via"] != "1.1 nginx"
    told = '"reason": "forward_auth: not the key"'
    wait_for(lambda: any(told in one.output for one in here.cluster.replicas), told)
    answer = browser.fetch("GET", "/api/items", headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.json()["code"] == "cross_site"


def test_an_api_that_is_away_is_502_in_our_words(here: BehindNginx) -> None:
    browser = here.browser()
    here.api.stop()
    answer = browser.api("/items")
    assert (answer.status_code, answer.json()["code"]) == (502, "upstream_unreachable")
    assert browser.profile().status_code == 200
