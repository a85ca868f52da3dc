"""Promise 8 over plain HTTP: every route that uses the cookie, with every kind of request.

Requests of real browsers are tested in tests/browser; here are those that a program can send.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support import raw_client
from tests.support.ageing import record_name
from tests.support.browser_client import BrowserClient
from tests.support.cluster import Cluster
from tests.support.processes import free_port
from tests.support.raw_upstream import RawUpstream, responding
from tests.support.refusal import assert_error

ROUTES = [
    ("GET", "/api/x"), ("HEAD", "/api/x"), ("OPTIONS", "/api/x"), ("POST", "/api/x"),
    ("PUT", "/api/x"), ("PATCH", "/api/x"), ("DELETE", "/api/x"), ("get", "/api/x"),
    ("post", "/api/x"), ("PURGE", "/api/x"), ("GET", "/api"),
    ("GET", "/auth/profile"), ("HEAD", "/auth/profile"), ("GET", "/auth/profile?slide=true"),
    ("GET", "/auth/sessions"), ("DELETE", "/auth/sessions/{own}"), ("POST", "/auth/logout"),
]  # fmt: skip
REFUSED = {
    "cross-site": ["Sec-Fetch-Site: cross-site"],
    "cross-site with the header": ["Sec-Fetch-Site: cross-site", "X-CSRF: 1"],
    "cross-site with our origin": ["Sec-Fetch-Site: cross-site", "Origin: {ours}", "X-CSRF: 1"],
    "same-site": ["Sec-Fetch-Site: same-site"],
    "same-site with the header": ["Sec-Fetch-Site: same-site", "X-CSRF: 1"],
    "unknown": ["Sec-Fetch-Site: same-planet", "X-CSRF: 1"],
    "another case": ["Sec-Fetch-Site: Same-Origin"],
    "empty": ["Sec-Fetch-Site:", "X-CSRF: 1"],
    "both": ["Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: cross-site"],
    "both, the other way": ["Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-origin"],
    "a list": ["Sec-Fetch-Site: same-origin, same-origin"],
    "ours, another origin": ["Sec-Fetch-Site: same-origin", "Origin: https://evil.test"],
    "ours, another origin, header": [
        "Sec-Fetch-Site: same-origin",
        "Origin: https://evil.test",
        "X-CSRF: 1",
    ],
    "ours, a null origin": ["Sec-Fetch-Site: same-origin", "Origin: null"],
    "ours, a sibling's origin": ["Sec-Fetch-Site: same-origin", "Origin: http://evil.{host}"],
    "ours, two origins": [
        "Sec-Fetch-Site: same-origin",
        "Origin: {ours}",
        "Origin: https://evil.test",
    ],
    "typed in, another origin": ["Sec-Fetch-Site: none", "Origin: https://evil.test"],
    "absent": [],
    "absent, our origin": ["Origin: {ours}"],
    "absent, another header": ["X-Requested-With: XMLHttpRequest"],
    "absent, header with another value": ["X-CSRF: true"],
    "absent, another origin": ["Origin: https://evil.test", "X-CSRF: 1"],
    "absent, a null origin": ["Origin: null", "X-CSRF: 1"],
    "absent, an empty origin": ["Origin:", "X-CSRF: 1"],
    "absent, our origin with a slash": ["Origin: {ours}/", "X-CSRF: 1"],
    "absent, our host with another scheme": ["Origin: https://{host}", "X-CSRF: 1"],
    "absent, our host with another port": ["Origin: {ours}1", "X-CSRF: 1"],
    "absent, two origins": ["Origin: {ours}", "Origin: https://evil.test", "X-CSRF: 1"],
}
TYPED = ["Sec-Fetch-Site: none"]
OURS = ["Sec-Fetch-Site: same-origin"]
LEASE_SECONDS = 0.5
SAFE = ("GET", "HEAD", "OPTIONS")


@pytest.fixture(scope="module")
def upstream() -> Iterator[RawUpstream]:
    with RawUpstream() as started:
        yield started


@pytest.fixture(scope="module")
def cluster(upstream: RawUpstream) -> Iterator[Cluster]:
    with Cluster(api_url=upstream.url) as started:
        yield started


@pytest.fixture(scope="module")
def browser(cluster: Cluster) -> BrowserClient:
    started = cluster.browser()
    started.log_in()
    return started


def ask(
    cluster: Cluster, browser: BrowserClient, method: str, path: str, *fields: str, replica: int = 0
) -> raw_client.Received:
    """Send a request with this browser's cookie; fills in the placeholders."""
    own = browser.profile().json()["session"]["id"] if "{own}" in path else ""
    ours = cluster.base_url
    filled = [field.format(ours=ours, host=ours.partition("//")[2]) for field in fields]
    cookie = f"Cookie: session={browser.cookie}"
    port = cluster.ports[replica]
    return raw_client.request(port, path.format(own=own), cookie, *filled, method=method)


@contextmanager
def replica(cluster: Cluster, **settings: str) -> Iterator[int]:
    """The number of one more replica, with other settings."""
    cluster.ports.append(free_port())
    with cluster.start_replica(cluster.ports[-1], **settings):
        yield len(cluster.ports) - 1


def assert_refused(received: raw_client.Received, method: str) -> None:
    if method == "HEAD":
        assert (received.status, received.body) == (403, b"")
    else:
        body = received.body.decode()
        assert_error(received.status, received.fields, body, 403, "cross_site")
    assert "set-cookie" not in received.fields
    assert not [name for name in received.fields if name.startswith("access-control-")]


@pytest.mark.parametrize("fields", REFUSED.values(), ids=REFUSED.keys())
def test_promise_8_it_is_refused_on_every_route(
    cluster: Cluster, browser: BrowserClient, upstream: RawUpstream, fields: list[str]
) -> None:
    upstream.forget()
    for method, path in ROUTES:
        assert_refused(ask(cluster, browser, method, path, *fields), method)
    assert upstream.seen == []
    assert browser.profile().status_code == 200, "signed out by another site"


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_promise_8_a_typed_address_is_for_looking_only(
    cluster: Cluster, browser: BrowserClient, method: str, path: str
) -> None:
    received = ask(cluster, browser, method, path, *TYPED, "X-CSRF: 1")
    if method.upper() in SAFE:
        assert received.status == 200
    else:
        assert_refused(received, method)


@pytest.mark.parametrize("path", ["/api/x", "/auth/profile?slide=true", "/auth/profile"])
def test_promise_8_a_typed_address_does_not_extend_the_session(
    cluster: Cluster, browser: BrowserClient, path: str
) -> None:
    """Firefox says `none` also where another site has led the browser here."""
    key = record_name(cluster, browser.cookie)
    for fields, slides in ((TYPED, False), (OURS, path != "/auth/profile")):
        cluster.store().hincrby(key, "last_seen_at", -3600)
        left = cluster.store().hincrby(key, "idle_ends_at", -3600)
        # A process trusts its session cache for a moment.
        time.sleep(LEASE_SECONDS)
        assert ask(cluster, browser, "GET", path, *fields).status == 200
        assert (int(cluster.store().hget(key, "idle_ends_at") or 0) > left) == slides, fields


def test_promise_8_typed_addresses_can_be_refused(
    cluster: Cluster, browser: BrowserClient, upstream: RawUpstream
) -> None:
    with replica(cluster, BFF_REFUSE_TYPED_ADDRESSES="true") as strict:
        upstream.forget()
        for method, path in ROUTES:
            for more in ([], ["X-CSRF: 1"]):
                received = ask(cluster, browser, method, path, *TYPED, *more, replica=strict)
                assert_refused(received, method)
        assert upstream.seen == []
        assert ask(cluster, browser, "GET", "/api/x", *OURS, replica=strict).status == 200


def test_promise_8_a_form_that_a_service_worker_passed_on_is_refused(
    cluster: Cluster, browser: BrowserClient, upstream: RawUpstream
) -> None:
    """So Firefox sends it, whoever posted it; a plain `fetch` has the mode `cors`."""
    upstream.forget()
    fields = [*OURS, "Origin: {ours}", "Sec-Fetch-Mode: same-origin"]
    for method, path in ROUTES:
        if method.upper() not in SAFE:
            assert_refused(ask(cluster, browser, method, path, *fields), method)
    assert upstream.seen == []
    page = [*fields, "Sec-Fetch-Dest: empty", "Accept: text/html"]
    received = ask(cluster, browser, "POST", "/auth/logout", *page)
    assert (received.status, b"form_token" in received.body) == (200, True), "it asks first"
    assert browser.profile().status_code == 200
    for passing in (
        [*fields, "X-CSRF: 1"],
        [*OURS, "Origin: {ours}", "Sec-Fetch-Mode: cors"],
    ):
        assert ask(cluster, browser, "POST", "/api/x", *passing).status == 200


def test_promise_8_the_header_can_be_demanded_for_writes(
    cluster: Cluster, browser: BrowserClient, upstream: RawUpstream
) -> None:
    """Firefox behind a service worker: another site's post has our `Origin` and `same-origin`."""
    with replica(cluster, BFF_REQUIRE_CSRF_ON_WRITES="true") as strict:
        upstream.forget()
        writes = [(method, path) for method, path in ROUTES if method.upper() not in SAFE]
        for method, path in writes:
            for more in ([], ["X-CSRF: 0"], ["X-CSRF:"]):
                fields = [*OURS, "Origin: {ours}", "Sec-Fetch-Mode: same-origin", *more]
                received = ask(cluster, browser, method, path, *fields, replica=strict)
                assert_refused(received, method)
        assert upstream.seen == []
        form = [*OURS, "Origin: {ours}", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"]
        received = ask(cluster, browser, "POST", "/auth/logout", *form, replica=strict)
        assert (received.status, b"form_token" in received.body) == (200, True)
        assert browser.profile().status_code == 200, "it was asked first"
        for method, path in (("GET", "/api/x"), ("GET", "/auth/profile")):
            assert ask(cluster, browser, method, path, *OURS, replica=strict).status == 200
        with_header = [*OURS, "Origin: {ours}", "X-CSRF: 1"]
        assert ask(cluster, browser, "POST", "/api/x", *with_header, replica=strict).status == 200
        leaving = cluster.browser()
        leaving.log_in()
        received = ask(cluster, leaving, "POST", "/auth/logout", *with_header, replica=strict)
        assert (received.status, leaving.profile().status_code) == (200, 401)


@pytest.mark.parametrize("fields", [["X-CSRF: 1"], ["X-CSRF: 1", "Origin: {ours}"]])
def test_promise_8_a_program_that_proves_itself_may_pass(
    cluster: Cluster, browser: BrowserClient, fields: list[str]
) -> None:
    """Without this the refusals above could have other reasons."""
    for method, path in ROUTES:
        if "{own}" not in path and path != "/auth/logout":
            assert ask(cluster, browser, method, path, *fields).status == 200


def test_promise_8_redis_is_not_asked(cluster: Cluster, browser: BrowserClient) -> None:
    """The refusal also comes while Redis is down, so it doesn't need the session."""
    cluster.redis.pause()
    try:
        for method, path in ROUTES:
            if "{own}" not in path:
                received = ask(cluster, browser, method, path, "Sec-Fetch-Site: same-site")
                assert_refused(received, method)
    finally:
        cluster.redis.resume()
    assert browser.profile().status_code == 200


@pytest.mark.parametrize("path", ["/api/x", "/auth/profile", "/auth/logout", "/auth/sessions/a",
                                  "/auth/login", "/", "/auth/client.js", "/healthz"])  # fmt: skip
@pytest.mark.parametrize("origin", ["https://evil.test", "null", "{ours}"])
@pytest.mark.parametrize("site", ["cross-site", "same-site", "same-origin"])
def test_promise_8_a_preflight_permits_nothing(
    cluster: Cluster, browser: BrowserClient, path: str, origin: str, site: str
) -> None:
    for method in ("GET", "DELETE"):
        received = ask(
            cluster, browser, "OPTIONS", path, f"Sec-Fetch-Site: {site}", f"Origin: {origin}",
            f"Access-Control-Request-Method: {method}",
            "Access-Control-Request-Headers: x-csrf,content-type",
            "Access-Control-Request-Private-Network: true",
        )  # fmt: skip
        assert not [name for name in received.fields if name.startswith("access-control-")]
        assert received.status in (200, 403, 405)


def test_promise_8_the_upstream_s_own_permissions_are_not_ours(
    cluster: Cluster, browser: BrowserClient, upstream: RawUpstream
) -> None:
    upstream.script = responding(
        b"HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: https://evil.test\r\n"
        b"Access-Control-Allow-Credentials: true\r\nContent-Length: 0\r\n\r\n"
    )
    upstream.drop_connections()
    for method in ("GET", "OPTIONS"):
        received = ask(cluster, browser, method, "/api/x", "Sec-Fetch-Site: same-origin")
        assert received.status == 200
        assert not [name for name in received.fields if name.startswith("access-control-")]
    upstream.script = responding()
    upstream.drop_connections()


def test_promise_8_the_header_can_be_demanded(
    cluster: Cluster, browser: BrowserClient, upstream: RawUpstream
) -> None:
    """BFF_REQUIRE_CSRF_HEADER is for `/api` only; Fetch Metadata doesn't replace it."""
    with replica(cluster, BFF_REQUIRE_CSRF_HEADER="true") as strict:
        upstream.forget()
        for method in ("GET", "HEAD", "OPTIONS", "POST", "DELETE"):
            for more in ([], ["X-CSRF: 0"], ["X-CSRF: 1", "X-CSRF: 1"], ["X-CSRF:"]):
                fields = ["Sec-Fetch-Site: same-origin", *more]
                received = ask(cluster, browser, method, "/api/x", *fields, replica=strict)
                assert_refused(received, method)
        assert upstream.seen == []
        with_header = ["Sec-Fetch-Site: same-origin", "X-CSRF: 1"]
        assert ask(cluster, browser, "POST", "/api/x", *with_header, replica=strict).status == 200
        for site in ("cross-site", "same-site"):
            fields = [f"Sec-Fetch-Site: {site}", "X-CSRF: 1"]
            received = ask(cluster, browser, "POST", "/api/x", *fields, replica=strict)
            assert_refused(received, "POST")
        own = ["Sec-Fetch-Site: same-origin"]
        assert ask(cluster, browser, "GET", "/auth/profile", *own, replica=strict).status == 200
