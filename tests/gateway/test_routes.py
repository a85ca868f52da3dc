"""Several routes through real servers: each request gets the upstream and limits of its route."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.gateway.app import TOKEN
from tests.gateway.conftest import APP
from tests.support import raw_client
from tests.support.raw_upstream import RawUpstream, responding
from tests.support.servers import SERVERS, WebServer, start_server

ROUTES = """
[[route]]
prefix = "/api/orders"
upstream = "{orders}/v2"
methods = ["GET", "POST"]
request_max_bytes = 10
request_headers = ["Accept-Language", "X-Tenant", "Client-Cert"]
request_cookies = ["tenant", "theme"]
answer_cookies = ["XSRF-TOKEN", "tenant"]

[[route]]
prefix = "/files"
upstream = "{files}/base"
strip_prefix = false
token = "none"
"""
OWN_COOKIE = "__Host-Http-session=" + "s" * 43


@dataclass
class ThreeRoutes:
    """A server with three routes, and their upstreams."""

    server: WebServer
    api: RawUpstream
    orders: RawUpstream
    files: RawUpstream

    def status_of(self, target: str, *headers: str, method: str = "GET", body: bytes = b"") -> int:
        """The status of one request."""
        return raw_client.request(
            self.server.port, target, *headers, method=method, body=body
        ).status

    def received(self) -> list[tuple[str, str]]:
        """Upstream and target of each request that came since the last call."""
        named = {"api": self.api, "orders": self.orders, "files": self.files}
        found = [(name, seen.target) for name, one in named.items() for seen in one.seen]
        for one in named.values():
            one.forget()
        return found


@pytest.fixture(scope="module", params=SERVERS)
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ThreeRoutes]:
    with RawUpstream() as api, RawUpstream() as orders, RawUpstream() as files:
        path: Path = tmp_path_factory.mktemp("routes") / "routes.toml"
        path.write_text(ROUTES.format(orders=orders.url, files=files.url))
        env = {"BFF_API_URL": f"{api.url}/v1", "BFF_ROUTES_FILE": str(path)}
        server = start_server(request.param, APP, env=env)
        try:
            yield ThreeRoutes(server, api, orders, files)
        finally:
            server.stop()


@pytest.fixture
def routes(running: ThreeRoutes) -> ThreeRoutes:
    for one in (running.api, running.orders, running.files):
        one.script = responding()
        one.drop_connections()
    running.received()
    return running


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/api/x?a=b", ("api", "/v1/x?a=b")),
        ("/api", ("api", "/v1")),
        ("/api/ordersx/7", ("api", "/v1/ordersx/7")),
        ("/api/orders", ("orders", "/v2")),
        ("/api/orders/7?a=b", ("orders", "/v2/7?a=b")),
        ("/files", ("files", "/base/files")),
        ("/files/a/b?c", ("files", "/base/files/a/b?c")),
    ],
)
def test_every_path_goes_to_its_upstream(
    routes: ThreeRoutes, target: str, expected: tuple[str, str]
) -> None:
    assert routes.status_of(target) == 200
    assert routes.received() == [expected]


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/filesx", 404), ("/other", 404), ("/", 404),
        ("/api/Orders/7", 400), ("/api/orders;x/7", 400), ("/api/%2e%2e/files/x", 400),
        # Flask's router doesn't match this one with a route.
        ("/api/orders;%0a/7", 400),
        ("/files//x", 400), ("/files/../api/x", 400), ("/api/orders/../x", 400),
    ],
)  # fmt: skip
def test_a_path_on_no_route_or_an_ambiguous_one_is_not_forwarded(
    routes: ThreeRoutes, target: str, status: int
) -> None:
    assert routes.status_of(target) == status
    assert routes.received() == []


def test_an_encoded_slash_leads_to_no_other_route(routes: ThreeRoutes) -> None:
    """Granian reports it as a slash, and so it is one for us and the upstream."""
    granian = "granian" in routes.server.name
    assert routes.status_of("/api%2Forders/7") == (200 if granian else 400)
    assert routes.received() == ([("orders", "/v2/7")] if granian else [])


def test_methods_and_sizes_are_those_of_the_route(routes: ThreeRoutes) -> None:
    assert routes.status_of("/api/orders/7", method="DELETE") == 405
    assert routes.status_of("/api/x", method="DELETE") == 200
    assert routes.status_of("/api/orders/7", method="POST", body=b"x" * 10) == 200
    assert routes.status_of("/api/orders/7", method="POST", body=b"x" * 11) == 413
    assert routes.status_of("/files/7", method="POST", body=b"x" * 11) == 200
    assert [name for name, _ in routes.received()] == ["api", "orders", "files"]


# ---------------------------------------------------------------- headers and cookies


def test_with_a_list_no_other_headers_pass_but_those_that_change_the_meaning(
    routes: ThreeRoutes,
) -> None:
    headers = [
        "Accept: text/plain", "Accept-Language: de", "X-Tenant: 7", "X-Own: value",
        "User-Agent: tester", "Origin: https://app.test", "If-Match: \"a\"", "Range: bytes=0-1",
        "Content-Encoding: gzip", "Content-Type: text/plain", "Authorization: Bearer evil",
        "Client-Cert: :MII=:", "Client-Cert-Chain: :MII=:",
        "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    ]  # fmt: skip
    assert routes.status_of("/api/orders/7", *headers, method="POST", body=b"x") == 200
    [seen] = routes.orders.seen
    assert {name for name, _ in seen.fields} == {
        "accept-language", "x-tenant", "if-match", "content-encoding", "content-type",
        "content-length", "traceparent", "authorization", "host", "forwarded", "via",
        "x-request-id", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "client-cert",
    }  # fmt: skip
    assert seen.get("authorization") == f"Bearer {TOKEN}"
    assert routes.status_of("/api/x", *headers) == 200
    assert routes.api.seen[0].get("user-agent") == "tester", "another route has no list"


@pytest.mark.parametrize(
    ("lines", "passes"),
    [
        ([f"{OWN_COOKIE}; tenant=7; other=x; theme=dark"], "tenant=7; theme=dark"),
        ([OWN_COOKIE], None),
        (["tenant=7"], "tenant=7"),
        (["Tenant=7; tenants=8; xtenant=9"], None),
        (['tenant="quoted"'], 'tenant="quoted"'),
        (["tenant=a=b"], "tenant=a=b"),
        (["tenant"], None),
        (["tenant=7,8"], None),
        (["tenant=a b"], None),
        ([f"tenant=7, {OWN_COOKIE}"], None),
        ([f"tenant={OWN_COOKIE}"], f"tenant={OWN_COOKIE}"),
    ],
)
def test_only_the_named_cookies_pass(
    routes: ThreeRoutes, lines: list[str], passes: str | None
) -> None:
    assert routes.status_of("/api/orders/7", *(f"Cookie: {line}" for line in lines)) == 200
    assert routes.orders.seen[0].get("cookie") == passes
    assert routes.status_of("/api/x", "Cookie: tenant=7") == 200
    assert routes.api.seen[0].get("cookie") is None


def test_our_cookie_does_not_pass_in_a_second_header(routes: ThreeRoutes) -> None:
    """A server may join the two with a comma, or drop one of them."""
    for pair in (("tenant=7", OWN_COOKIE), (OWN_COOKIE, "tenant=7")):
        assert routes.status_of("/api/orders/7", *(f"Cookie: {one}" for one in pair)) == 200
    for seen in routes.orders.seen:
        assert "session" not in (seen.get("cookie") or "")


def set_cookies(routes: ThreeRoutes, target: str, *values: str) -> list[str]:
    lines = "".join(f"Set-Cookie: {value}\r\n" for value in values).encode()
    response = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" + lines + b"\r\nok"
    for one in (routes.orders, routes.api):
        one.script = responding(response)
    headers = raw_client.request(routes.server.port, target).fields
    return list(filter(None, headers.get("set-cookie", "").split("|")))


@pytest.mark.parametrize(
    ("value", "passes"),
    [
        ("tenant=7", "tenant=7; Path=/api/orders; Secure; SameSite=Strict"),
        ("tenant=7; Path=/", "tenant=7; Path=/api/orders; Secure; SameSite=Strict"),
        ("tenant=7; Path=/v2", "tenant=7; Path=/api/orders; Secure; SameSite=Strict"),
        ("tenant=7; path=/v2/a/", "tenant=7; Path=/api/orders/a; Secure; SameSite=Strict"),
        ("tenant=7; Path=/v2/../..", "tenant=7; Path=/api/orders; Secure; SameSite=Strict"),
        ("tenant=7; Path=/v2x", "tenant=7; Path=/api/orders; Secure; SameSite=Strict"),
        (
            "tenant=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; SameSite=Lax",
            "tenant=; Path=/api/orders; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; "
            "Secure; HttpOnly; SameSite=Lax",
        ),
        (
            "XSRF-TOKEN=a; SameSite=None; Partitioned; Priority=High; X=y",
            "XSRF-TOKEN=a; Path=/api/orders; Secure; SameSite=Strict",
        ),
        ("tenant=7; Domain=app.test", None),
        ("tenant=7; domain=.test; Path=/", None),
        ("tenant=7; Domain", "tenant=7; Path=/api/orders; Secure; SameSite=Strict"),
        ("Tenant=7", None),
        ("other=7", None),
        (f"{OWN_COOKIE}; Path=/; Secure; HttpOnly", None),
        ("session=7", None),
        ("tenant", None),
        ("=tenant=7", None),
        ("tenant=a b", None),
        ("tenant=" + "a" * 5000, None),
        ("tenant=7; Max-Age=x; Expires=<a>", "tenant=7; Path=/api/orders; Secure; SameSite=Strict"),
    ],
)  # fmt: skip
def test_an_upstream_sets_the_named_cookies_for_its_own_paths(
    routes: ThreeRoutes, value: str, passes: str | None
) -> None:
    assert set_cookies(routes, "/api/orders/7", value) == ([passes] if passes else [])


def test_several_cookies_are_checked_one_by_one(routes: ThreeRoutes) -> None:
    found = set_cookies(routes, "/api/orders/7", "a=1", "tenant=7", OWN_COOKIE, "XSRF-TOKEN=x")
    assert [one.split(";")[0] for one in found] == ["tenant=7", "XSRF-TOKEN=x"]
    assert set_cookies(routes, "/api/x", "tenant=7") == [], "another route lets none pass"
