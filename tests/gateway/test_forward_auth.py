"""What does `/auth/verify` respond to a proxy in front, and to any other caller?

The whole application in this process; the tests send what a proxy would send. With a
real nginx: tests/deploy.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from bff.access.session_cookie import cookie_name
from bff.config import load
from bff.core.errors import ConfigError, StoreUnavailable
from tests.support.fixtures import AuditLines, MakeReceiver
from tests.support.receiver import Receiver

KEY = "k" * 32
SETTINGS = {"BFF_FORWARD_AUTH_KEY": KEY, "BFF_TRUSTED_PROXIES": "127.0.0.1"}
OURS = "https://app.example.com"
ROUTES = """
[[route]]
prefix = "/api"
upstream = "http://127.0.0.1:9/v1"

[[route]]
prefix = "/api/live"
upstream = "http://127.0.0.1:9/live"
websocket = true

[[route]]
prefix = "/api/orders"
upstream = "http://127.0.0.1:9"
strip_prefix = false
methods = ["GET"]

[[route]]
prefix = "/open"
upstream = "http://127.0.0.1:9"
token = "none"

[[route]]
prefix = "/here"
upstream = "http://127.0.0.1:9"
forward_auth = false

[[route]]
prefix = "/picky"
upstream = "http://127.0.0.1:9"
request_headers = ["accept"]
"""
HANDSHAKE = {
    "X-Original-URI": "/api/live/1",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Origin": OURS,
    "Sec-Fetch-Site": None,
}


@pytest.fixture
def bff(receiver_for: MakeReceiver, tmp_path: Path) -> Receiver:
    file = tmp_path / "routes.toml"
    file.write_text(ROUTES)
    return receiver_for(**SETTINGS, BFF_ROUTES_FILE=str(file), BFF_API_URL="", APP_BASE_URL=OURS)


class Front:
    """A proxy in front that forwards one route, and a browser that is signed in."""

    def __init__(self, bff: Receiver, *, signed_in: bool = True) -> None:
        self.bff = bff
        # A cookie jar would replace the header.
        self.client = bff.app.test_client(use_cookies=False)
        cookie_id = bff.services.sessions.start(bff.sign_in()) if signed_in else None
        self.cookie = f"{cookie_name(bff.config)}={cookie_id}" if cookie_id else None

    def verify(self, uri: str = "/api/items", method: str = "GET", **changed: Any) -> TestResponse:
        peer = changed.pop("peer", "127.0.0.1")
        route = changed.pop("route", "/api")
        fields: dict[str, str | None] = {
            "X-Forward-Auth-Key": KEY,
            "X-Original-Method": method,
            "X-Original-URI": uri,
            "Sec-Fetch-Site": "same-origin",
            "Cookie": self.cookie,
        } | changed.pop("fields", {})
        return self.client.open(
            f"/auth/verify?route={route}" if route else "/auth/verify",
            method=changed.pop("sent_with", "GET"),
            headers={name: value for name, value in fields.items() if value is not None},
            environ_base={"REMOTE_ADDR": peer},
        )


@pytest.fixture
def front(bff: Receiver) -> Front:
    return Front(bff)


def refused(response: TestResponse, status: int, code: str) -> bool:
    assert "Authorization" not in response.headers
    assert "X-BFF-Target" not in response.headers
    assert (response.status_code, response.headers["X-BFF-Code"]) == (status, code)
    assert "access-" not in response.text
    return True


# ---------------------------------------------------------------- what passes
def test_the_proxy_gets_token_and_target_and_nothing_else(front: Front) -> None:
    given = {"X-Request-ID": "from-the-proxy"}
    response = front.verify("/api/a%2Fb?x=%20&y=/..", fields=given)
    assert response.status_code == 204
    assert dict(response.headers) == {
        "Authorization": "Bearer access-1",
        "X-BFF-Target": "/v1/a%2Fb?x=%20&y=/..",
        "Cache-Control": "no-store",
        "X-Request-ID": "from-the-proxy",
    }
    assert response.data == b""


def test_the_prefix_stays_if_the_route_says_so(front: Front) -> None:
    response = front.verify("/api/orders/7", route="/api/orders")
    assert response.headers["X-BFF-Target"] == "/api/orders/7"


def test_traefik_and_caddy_use_other_header_names(front: Front) -> None:
    told = {"X-Forwarded-Method": "DELETE", "X-Forwarded-Uri": "/api/items/1"}
    theirs = told | {"X-Original-Method": None, "X-Original-URI": None}
    assert front.verify(fields=theirs).headers["X-BFF-Target"] == "/v1/items/1"
    both = {"X-Original-Method": "DELETE", "X-Original-URI": "/api/items/1"}
    assert front.verify(fields=told | both).status_code == 204


def test_a_route_without_token_gives_none_and_needs_no_session(bff: Receiver) -> None:
    response = Front(bff, signed_in=False).verify("/open/x", route="/open")
    assert response.status_code == 204
    assert "Authorization" not in response.headers
    assert response.headers["X-BFF-Target"] == "/x"


def test_a_request_that_names_a_session_gets_the_token_of_no_other(
    front: Front, bff: Receiver
) -> None:
    own, another = (
        one.client.get(
            "/auth/profile", headers={"Cookie": one.cookie or "", "Sec-Fetch-Site": "same-origin"}
        ).get_json()["session"]["id"]
        for one in (front, Front(bff))
    )
    passed = front.verify(fields={"X-BFF-Session": own})
    assert passed.headers["Authorization"] == "Bearer access-1"
    assert refused(front.verify(fields={"X-BFF-Session": another}), 403, "session_changed")


def test_a_request_extends_the_session_and_writes_no_audit_line(
    front: Front, audit_lines: AuditLines
) -> None:
    before = len(audit_lines())
    assert front.verify().status_code == 204
    assert len(audit_lines()) == before


def test_nothing_passes_after_the_logout(front: Front) -> None:
    assert front.verify().status_code == 204
    fields = {"Cookie": front.cookie or "", "X-CSRF": "1"}
    response = front.client.post("/auth/logout", headers=fields)
    assert response.status_code == 200
    assert refused(front.verify(), 401, "session_ended")


# ---------------------------------------------------------------- the caller
@pytest.mark.parametrize(
    "changed",
    [
        {"fields": {"X-Forward-Auth-Key": None}},
        {"fields": {"X-Forward-Auth-Key": ""}},
        {"fields": {"X-Forward-Auth-Key": KEY[:-1]}},
        {"fields": {"X-Forward-Auth-Key": KEY + "k"}},
        {"fields": {"X-Forward-Auth-Key": "\xe9" * 32}},
        {"peer": "127.0.0.2"},
        {"peer": "10.0.0.1", "fields": {"X-Forwarded-For": "127.0.0.1"}},
        {"peer": ""},
    ],
)
def test_a_caller_that_is_no_trusted_proxy_with_the_key_learns_nothing(
    front: Front, audit_lines: AuditLines, changed: dict[str, Any]
) -> None:
    assert refused(front.verify(**changed), 403, "proxy_unknown")
    assert audit_lines()[-1]["reason"].startswith("forward_auth: ")


def test_without_a_key_it_is_a_404(receiver_for: MakeReceiver) -> None:
    front = Front(receiver_for(BFF_TRUSTED_PROXIES="127.0.0.1"))
    response = front.verify()
    assert response.status_code == 404
    assert "Authorization" not in response.headers


@pytest.mark.parametrize("method", ["POST", "HEAD", "OPTIONS", "PUT"])
def test_only_get_gets_a_token(front: Front, method: str) -> None:
    response = front.verify(sent_with=method)
    assert response.status_code != 204
    assert "Authorization" not in response.headers


def test_a_key_without_trusted_proxies_is_a_config_error(bff: Receiver) -> None:
    environ = {"BFF_FORWARD_AUTH_KEY": KEY, "APP_BASE_URL": OURS}
    with pytest.raises(ConfigError, match="BFF_FORWARD_AUTH_KEY: needs BFF_TRUSTED_PROXIES"):
        load(environ)


# ---------------------------------------------------------------- the original request
@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"X-Original-URI": None}, "request_refused"),
        ({"X-Original-URI": ""}, "request_refused"),
        ({"X-Original-Method": None}, "request_refused"),
        ({"X-Forwarded-Uri": "/api/other"}, "request_refused"),
        ({"X-Forwarded-Method": "POST"}, "request_refused"),
        ({"X-Original-URI": "/other"}, "route_unknown"),
        ({"X-Original-URI": "api/items"}, "route_unknown"),
        ({"X-Original-URI": "http://app.example.com/api/items"}, "route_unknown"),
        ({"X-Original-URI": "/API/items"}, "route_unknown"),
        ({"X-Original-URI": "/apix"}, "route_unknown"),
        ({"X-Original-URI": "/api/../admin"}, "path_refused"),
        ({"X-Original-URI": "/api/%2e%2e/admin"}, "path_refused"),
        ({"X-Original-URI": "/api//x"}, "path_refused"),
        ({"X-Original-URI": "/%61pi/x"}, "path_refused"),
        ({"X-Original-URI": "/api/x#y"}, "path_refused"),
        ({"X-Original-URI": "/api/x y"}, "path_refused"),
        ({"X-Original-URI": "/api/\xe9"}, "path_refused"),
        ({"X-Original-URI": "/api/x?\xe9"}, "path_refused"),
        ({"X-Original-URI": "/api/Orders/7"}, "path_refused"),
        ({"X-Original-Method": "TRACE"}, "method_not_allowed"),
        ({"X-Original-Method": "CONNECT"}, "method_not_allowed"),
        ({"X-Original-Method": "GET,POST"}, "method_not_allowed"),
    ],
)
def test_an_ambiguous_or_incomplete_request_is_refused(
    front: Front, fields: dict[str, str | None], code: str
) -> None:
    assert refused(front.verify(fields=fields), 403, code)


@pytest.mark.parametrize(
    ("uri", "route"),
    [
        ("/api/items", ""),
        ("/api/items", "/open"),
        ("/api/orders/7", "/api"),
        ("/api/live/7", "/api"),
        ("/api/items", "/api/orders"),
        ("/api/items", "/api&route=/open"),
        ("/here/x", "/here"),
        ("/picky/x", "/picky"),
    ],
)
def test_a_token_is_only_for_the_route_that_the_proxy_named(
    front: Front, uri: str, route: str
) -> None:
    assert refused(front.verify(uri, route=route), 403, "carried_here")


def test_the_methods_of_the_route_apply(front: Front) -> None:
    response = front.verify("/api/orders/7", "DELETE", route="/api/orders")
    assert refused(response, 403, "method_not_allowed")


# ---------------------------------------------------------------- the client of the proxy
@pytest.mark.parametrize(
    ("method", "fields"),
    [
        ("GET", {"Sec-Fetch-Site": "cross-site"}),
        ("GET", {"Sec-Fetch-Site": "same-site"}),
        ("POST", {"Sec-Fetch-Site": "none"}),
        ("GET", {"Sec-Fetch-Site": None}),
        ("POST", {"Sec-Fetch-Site": None, "X-CSRF": "1", "Origin": "https://evil.example"}),
    ],
)
def test_promise_8_another_site_is_refused_by_the_original_method(
    front: Front, method: str, fields: dict[str, str | None]
) -> None:
    assert refused(front.verify(method=method, fields=fields), 403, "cross_site")


def test_an_allowed_request_passes_by_the_original_method(front: Front) -> None:
    assert front.verify(method="GET", fields={"Sec-Fetch-Site": "none"}).status_code == 204
    program = {"Sec-Fetch-Site": None, "X-CSRF": "1"}
    assert front.verify(method="DELETE", fields=program).status_code == 204


def test_without_a_session_it_is_a_401_with_the_login_url(bff: Receiver) -> None:
    response = Front(bff, signed_in=False).verify()
    assert refused(response, 401, "session_missing")
    assert json.loads(response.data)["login_url"] == "/auth/login"


def test_the_audit_line_of_a_refusal_has_the_proxys_request_id(
    front: Front, audit_lines: AuditLines
) -> None:
    front.verify(fields={"Sec-Fetch-Site": "cross-site", "X-Request-ID": "from-the-proxy"})
    line = audit_lines()[-1]
    assert (line["origin"], line["request_id"]) == ("forward_auth", "from-the-proxy")


def test_the_audit_line_of_our_own_proxy_names_it(front: Front, audit_lines: AuditLines) -> None:
    foreign = {"Sec-Fetch-Site": "cross-site"}
    assert front.client.get("/api/items", headers=foreign).status_code == 403
    assert audit_lines()[-1]["origin"] == "proxy"


def test_what_a_page_would_run_is_refused(front: Front) -> None:
    for header in ({"Sec-Fetch-Dest": "script"}, {"Service-Worker": "script"}):
        assert refused(front.verify(fields=header), 403, "code_refused")


# ---------------------------------------------------------------- WebSockets
def test_a_page_of_ours_opens_a_websocket(front: Front) -> None:
    response = front.verify(route="/api/live", fields=HANDSHAKE)
    assert response.status_code == 204
    assert response.headers["X-BFF-Target"] == "/live/1"


@pytest.mark.parametrize(
    "origin",
    [None, "", "null", "https://evil.example", "https://sub.app.example.com", OURS + "/",
     "http://app.example.com", f"{OURS}, {OURS}"],
)  # fmt: skip
def test_promise_8_no_other_page_opens_one(front: Front, origin: str | None) -> None:
    """Whatever `Sec-Fetch-Site` and `X-CSRF` say."""
    said: dict[str, str | None] = {"Origin": origin, "Sec-Fetch-Site": "same-origin", "X-CSRF": "1"}
    response = front.verify(route="/api/live", fields=HANDSHAKE | said)
    assert refused(response, 403, "cross_site")


def test_a_websocket_is_for_routes_that_allow_it_for_get_and_for_sessions(front: Front) -> None:
    elsewhere = HANDSHAKE | {"X-Original-URI": "/api/items"}
    assert refused(front.verify(fields=elsewhere), 403, "upgrade_unsupported")
    posted = HANDSHAKE | {"X-Original-Method": "POST"}
    assert refused(front.verify(route="/api/live", fields=posted), 403, "request_refused")
    anonymous = Front(front.bff, signed_in=False)
    assert refused(anonymous.verify(route="/api/live", fields=HANDSHAKE), 401, "session_missing")


def test_an_upgrade_without_a_key_counts_as_one(front: Front) -> None:
    fields = {"Upgrade": "WebSocket", "Origin": "https://evil.example"}
    response = front.verify("/api/live/1", route="/api/live", fields=fields)
    assert refused(response, 403, "cross_site")


# ---------------------------------------------------------------- outages
def test_promise_5_an_outage_is_503_and_no_sign_out(
    receiver_for: MakeReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    front = Front(receiver_for(**SETTINGS))

    def away(*_: object, **__: object) -> None:
        raise StoreUnavailable("for this test")

    monkeypatch.setattr(front.bff.services.stores.database, "run", away)
    response = front.verify()
    assert refused(response, 503, "store_unavailable")
    assert response.headers["Retry-After"] == "2"
    assert "Set-Cookie" not in response.headers
