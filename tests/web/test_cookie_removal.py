"""The button that removes all cookies works for our own page, and only where they are hidden."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support import raw_client
from tests.support.cluster import Cluster

HIDDEN = "Cookie: city=Z\xc3\xbcrich"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster() as cluster:
        yield cluster


@pytest.mark.parametrize(
    ("fields", "status", "cleared"),
    [
        ([HIDDEN, "Sec-Fetch-Site: same-origin"], 303, '"cookies"'),
        (["Cookie: a=b", "Sec-Fetch-Site: same-origin"], 303, None),
        (["Sec-Fetch-Site: same-origin"], 303, None),
        ([HIDDEN, "Sec-Fetch-Site: cross-site"], 403, None),
        ([HIDDEN, "Sec-Fetch-Site: none"], 403, None),
        ([HIDDEN], 403, None),
    ],
)
def test_another_site_can_not_have_cookies_removed(
    cluster: Cluster, fields: list[str], status: int, cleared: str | None
) -> None:
    received = raw_client.request(cluster.ports[0], "/auth/cookies", *fields, method="POST")
    assert (received.status, received.fields.get("clear-site-data")) == (status, cleared)
    assert "set-cookie" not in received.fields
    # A length without a body makes the server close the connection, at times before the headers.
    assert int(received.fields.get("content-length", 0)) == len(received.body)


@pytest.mark.parametrize(
    ("path", "accept", "content"),
    [
        ("/auth/profile", "text/html", "Remove the cookie"),
        ("/auth/profile", "*/*", '"login_url": "/auth/login"'),
        ("/auth/callback?state=x&code=y", "text/html", "Remove the cookie"),
        ("/auth/logout", "text/html", "Remove the cookie"),
        ("/api/x", "text/html", "Remove the cookie"),
    ],
)
def test_a_request_that_needs_the_cookie_says_that_it_is_hidden(
    cluster: Cluster, path: str, accept: str, content: str
) -> None:
    headers = HIDDEN, "X-CSRF: 1", f"Accept: {accept}"
    received = raw_client.request(cluster.ports[0], path, *headers)
    assert received.status == 401
    assert "cookies_unreadable" in received.body.decode()
    assert content in received.body.decode()
    assert "set-cookie" not in received.fields
