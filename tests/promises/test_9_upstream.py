"""Promise 9: the upstream gets exactly what the route allows, through the whole BFF.

A raw upstream sees every byte. The proxy alone is tested in tests/gateway; here the session, the
token, the cookies and the guard are real.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support import raw_client
from tests.support.browser_client import NAVIGATION, BrowserClient
from tests.support.cluster import Cluster
from tests.support.raw_upstream import RESPONSE, RawUpstream, Seen, Wire, responding

BASE_PATH = "/v1"
OURS_TO_WRITE = {
    "host", "authorization", "forwarded", "via", "x-request-id", "x-forwarded-for",
    "x-forwarded-host", "x-forwarded-proto",
}  # fmt: skip


@pytest.fixture(scope="module")
def upstream() -> Iterator[RawUpstream]:
    with RawUpstream() as started:
        yield started


@pytest.fixture(scope="module")
def cluster(upstream: RawUpstream) -> Iterator[Cluster]:
    with Cluster(replicas=2, api_url=upstream.url + BASE_PATH) as started:
        yield started


@pytest.fixture(scope="module")
def browser(cluster: Cluster) -> BrowserClient:
    started = cluster.browser()
    started.log_in()
    return started


@pytest.fixture(autouse=True)
def quiet(upstream: RawUpstream) -> None:
    upstream.script = responding()
    upstream.drop_connections()
    upstream.forget()


def raw_request(
    cluster: Cluster, browser: BrowserClient, *fields: str, target: str = "/api/x"
) -> raw_client.Received:
    """Send a request of the signed-in browser, with headers that no library would send."""
    return raw_client.request(
        cluster.ports[0], target, f"Cookie: session={browser.cookie}",
        "Sec-Fetch-Site: same-origin", *fields,
    )  # fmt: skip


def names(seen: Seen) -> set[str]:
    return {name for name, _ in seen.fields}


# ---------------------------------------------------------------- this host, this path, this method


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/api", "/v1"),
        ("/api/items", "/v1/items"),
        ("/api/items?a=1&b=%2F..%2F&c", "/v1/items?a=1&b=%2F..%2F&c"),
        ("/api/a%20b/%C3%A9", "/v1/a%20b/%C3%A9"),
    ],
)
def test_promise_9_this_host_path_and_method(
    cluster: Cluster,
    browser: BrowserClient,
    upstream: RawUpstream,
    method: str,
    path: str,
    expected: str,
) -> None:
    for replica in range(2):
        assert browser.fetch(method, path, replica=replica).status_code == 200
    for seen in upstream.wait_for(2):
        assert (seen.method, seen.target) == (method, expected)
        assert seen.get("host") == f"127.0.0.1:{upstream.port}"
        assert seen.body == b""
    assert len(upstream.seen) == 2


def test_promise_9_a_body_goes_on_byte_for_byte(
    browser: BrowserClient, upstream: RawUpstream
) -> None:
    body = bytes(range(256)) * 400
    headers = {"Content-Type": "application/x-odd; a=b"}
    assert browser.fetch("PUT", "/api/x", data=body, headers=headers).status_code == 200
    (seen,) = upstream.wait_for(1)
    assert (seen.body, seen.complete) == (body, True)
    assert seen.get("content-type") == "application/x-odd; a=b"


def test_promise_9_a_redirect_is_not_followed(
    browser: BrowserClient, cluster: Cluster, upstream: RawUpstream
) -> None:
    upstream.script = responding(
        b"HTTP/1.1 302 Found\r\nLocation: http://evil.test/x\r\nContent-Length: 0\r\n\r\n"
    )
    response = browser.api("/x")
    assert (response.status_code, response.headers["Location"]) == (302, "http://evil.test/x")
    assert len(upstream.seen) == 1


# ---------------------------------------------------------------- whose token, and no cookie


def test_promise_9_each_session_s_own_token(cluster: Cluster, upstream: RawUpstream) -> None:
    expected = []
    browsers = [cluster.browser() for _ in range(3)]
    for one in browsers:
        known = {token["value"] for token in cluster.issued("access_token")}
        one.log_in()
        (new,) = [t["value"] for t in cluster.issued("access_token") if t["value"] not in known]
        expected.append(f"Bearer {new}")
    for number, one in enumerate(browsers):
        assert one.api("/x", replica=number % 2).status_code == 200
    assert [seen.get("authorization") for seen in upstream.wait_for(3)] == expected
    assert len(set(expected)) == 3


def test_promise_9_no_cookie_of_ours_nor_of_anybody_s(
    cluster: Cluster, upstream: RawUpstream
) -> None:
    browser = cluster.browser()
    browser.log_in()
    browser.navigate("/auth/login")
    browser.fetch("GET", "/auth/logout", headers=NAVIGATION | {"Sec-Fetch-Site": "cross-site"})
    browser.here.cookies.set("another", "application's", domain="localhost.local", path="/")
    cookies = {cookie.name: cookie.value or "" for cookie in browser.here.cookies}
    kinds = {name.partition("-")[0] for name in cookies}
    assert {"session", "login", "logout"} <= kinds, cookies
    assert browser.api("/x").status_code == 200
    (seen,) = upstream.wait_for(1)
    assert "cookie" not in names(seen)
    for value in cookies.values():
        assert value.encode() not in seen.head


def test_promise_9_without_a_session_nothing_is_asked(
    cluster: Cluster, upstream: RawUpstream
) -> None:
    stranger = cluster.browser()
    for method in ("GET", "POST", "DELETE", "OPTIONS"):
        assert stranger.fetch(method, "/api/x").status_code == 401
    assert upstream.seen == []


# ---------------------------------------------------------------- nothing smuggled

SMUGGLED = {
    "authorization": ["Authorization: Bearer evil"],
    "authorization in small letters": ["authorization: Basic ZXZpbDpldmls"],
    "authorization in capitals": ["AUTHORIZATION: Bearer evil"],
    "authorization twice": ["Authorization: Bearer evil", "Authorization: Bearer evil2"],
    "authorization with a blank value": ["Authorization:"],
    "authorization nominated away": ["Connection: Authorization", "Authorization: Bearer evil"],
    "authorization nominated among others": ["Connection: close, aUTHORIZATION, x-a", "X-A: evil"],
    "proxy-authorization": ["Proxy-Authorization: Basic ZXZpbA=="],
    "forwarded": ["Forwarded: for=6.6.6.6;host=evil.test;proto=http"],
    "x-forwarded-for": ["X-Forwarded-For: 6.6.6.6"],
    "x-forwarded-for with an underscore": ["X_Forwarded_For: 6.6.6.6"],
    "x-forwarded-host": ["X-Forwarded-Host: evil.test"],
    "x-forwarded-proto": ["X-Forwarded-Proto: evil"],
    "x-forwarded-user": ["X-Forwarded-User: evil"],
    "x-forwarded-access-token": ["X-Forwarded-Access-Token: evil"],
    "x-forwarded of the future": ["X-Forwarded-Evil: evil"],
    "forwarded nominated away": ["Connection: forwarded, via, x-forwarded-for, host"],
    "x-real-ip": ["X-Real-IP: 6.6.6.6"],
    "x-real-ip with underscores": ["X_Real_IP: 6.6.6.6"],
    "true-client-ip": ["True-Client-IP: 6.6.6.6", "CF-Connecting-IP: 6.6.6.6"],
    "remote-user": ["Remote-User: evil", "Remote_User: evil", "X-Remote-User: evil"],
    "client's certificate": ["Client-Cert: evil", "X-SSL-Client-DN: evil", "SSL_Client_Cert: evil"],
    "user of another gateway": ["Remote-Groups: evil", "X-Vouch-User: evil", "OIDC_CLAIM_a: evil"],
    "address of another gateway": ["X-Forwarded: 6.6.6.6", "X-Envoy-External-Address: 6.6.6.6"],
    "auth-request": ["X-Auth-Request-User: evil", "X_Auth_Request_Email: evil"],
    "method override": ["X-HTTP-Method-Override: evil", "X_Method_Override: evil"],
    "path override": ["X-Original-URL: /evil", "X-Rewrite-URL: /evil"],
    "cookie": ["Cookie2: evil"],
    "hop-by-hop": ["TE: trailers, evil", "Trailer: evil", "Keep-Alive: evil", "Proxy: evil"],
    "upgrade": ["Upgrade: evil", "HTTP2-Settings: evil"],
    "request id": ["X-Request-ID: evil-evil-evil", "Via: 1.1 evil"],
    "csrf": ["X-CSRF: 1"],
    "device": ["Secure-Session-Response: evil", "Sec-Secure-Session-Id: evil"],
}


@pytest.mark.parametrize("fields", SMUGGLED.values(), ids=SMUGGLED.keys())
def test_promise_9_nothing_smuggled_gets_through(
    cluster: Cluster, browser: BrowserClient, upstream: RawUpstream, fields: list[str]
) -> None:
    assert raw_request(cluster, browser, *fields).status == 200
    (seen,) = upstream.wait_for(1)
    assert b"evil" not in seen.head.lower()
    assert b"6.6.6.6" not in seen.head
    assert b"ZXZpb" not in seen.head
    # Our headers are there once, whatever `Connection` names, and only safe ones of the client.
    assert names(seen) - {"accept"} == OURS_TO_WRITE | {"sec-fetch-site"}
    bearer = seen.get("authorization") or ""
    assert bearer.removeprefix("Bearer ") in {t["value"] for t in cluster.issued("access_token")}
    assert seen.get("forwarded") == f'for=127.0.0.1;host="{cluster.base_url[7:]}";proto=http'
    assert seen.get("x-forwarded-for") == "127.0.0.1"
    assert seen.get("host") == f"127.0.0.1:{upstream.port}"


def test_promise_9_an_underscore_can_t_pose_as_a_dash(
    cluster: Cluster, browser: BrowserClient, upstream: RawUpstream
) -> None:
    """WSGI doesn't distinguish the two; the upstream must see one."""
    raw_request(cluster, browser, "X_User_ID: 1")
    (seen,) = upstream.wait_for(1)
    assert "x_user_id" not in names(seen)
    assert b"_" not in b"".join(line.partition(b":")[0] for line in seen.head.split(b"\r\n")[1:])


# ---------------------------------------------------------------- a write is sent once


def acts_and_hangs_up(upstream: RawUpstream, connection: Wire) -> None:
    """Respond to the first request of a connection, read the second, and close."""
    for response in (RESPONSE, b""):
        seen = connection.read_request()
        if seen is None:
            return
        upstream.note(seen)
        if response:
            connection.send(response)


@pytest.mark.parametrize(
    ("method", "body"), [("POST", b"one"), ("POST", b""), ("DELETE", None), ("PATCH", b"x" * 99999)]
)
def test_promise_9_an_upstream_that_acts_and_hangs_up_was_asked_once(
    browser: BrowserClient, upstream: RawUpstream, method: str, body: bytes | None
) -> None:
    upstream.script = acts_and_hangs_up
    assert browser.api("/x").status_code == 200
    response = browser.fetch(method, "/api/x", data=body)
    assert (response.status_code, response.json()["code"]) == (502, "upstream_unreachable")
    asked = [(seen.method, seen.connection) for seen in upstream.seen]
    assert asked == [("GET", asked[0][1]), (method, asked[0][1])], "sent again, or not reused"
    # The next request is served on a new connection.
    assert browser.api("/x").status_code == 200
