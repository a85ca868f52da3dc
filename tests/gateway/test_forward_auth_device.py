"""A proxy in front gets no token for a bound session, unless its browser shows that it is it."""

from __future__ import annotations

import pytest
from werkzeug.test import TestResponse

from bff.access.session_cookie import cookie_name
from bff.core.device_binding import COOKIE, BoundCookies, device_session_ids
from bff.sessions.lifecycle import session_key
from tests.support.device_key import DeviceKey
from tests.support.fixtures import AuditLines, MakeReceiver
from tests.support.receiver import Receiver

KEY = "k" * 32
SETTINGS = {
    "APP_BASE_URL": "https://app.example.com", "BFF_DEVICE_BINDING": "offer",
    "BFF_FORWARD_AUTH_KEY": KEY, "BFF_TRUSTED_PROXIES": "127.0.0.1",
}  # fmt: skip


class Bound:
    """A browser whose session is bound, and a proxy in front."""

    def __init__(self, bff: Receiver) -> None:
        self._bff, stores = bff, bff.services.stores
        self._cookie = bff.services.sessions.start(bff.sign_in())
        self.key = session_key(self._cookie) or ""
        assert stores.device_keys.bind(self.key, DeviceKey().public) == "bound"
        name = f"{bff.config.redis_prefix}:session:{{{self.key}}}"
        stores.database.command("HINCRBY", name, "bound_at", -60)
        self.hashes = bff.services.sealer.device_hashes
        self.now = stores.database.now()
        self._client = bff.app.test_client(use_cookies=False)

    def verify(self, bound: str | None, **fields: str) -> TestResponse:
        """What the proxy is answered about a request with this short-lived cookie."""
        cookies = f"{cookie_name(self._bff.config)}={self._cookie}"
        cookies += f"; {COOKIE}={bound}" if bound else ""
        told = {"X-Forward-Auth-Key": KEY, "X-Original-Method": "GET", "Cookie": cookies,
                "X-Original-URI": "/api/items", "Sec-Fetch-Site": "same-origin"}  # fmt: skip
        return self._client.get("/auth/verify?route=/api", headers=told | fields)


@pytest.fixture
def bound(receiver_for: MakeReceiver) -> Bound:
    return Bound(receiver_for(**SETTINGS))


def test_with_the_cookie_there_is_a_token(bound: Bound) -> None:
    cookie = BoundCookies(bound.hashes, 600).value(bound.key, bound.now)
    response = bound.verify(cookie)
    assert (response.status_code, response.headers["Authorization"]) == (204, "Bearer access-1")
    assert "Set-Cookie" not in response.headers


@pytest.mark.parametrize(("age_seconds", "reason"), [(None, "no_cookie"), (700, "expired")])
def test_without_it_there_is_none(
    bound: Bound, audit_lines: AuditLines, age_seconds: int | None, reason: str
) -> None:
    cookies = BoundCookies(bound.hashes, 600)
    old = cookies.value(bound.key, bound.now - age_seconds) if age_seconds else None
    response = bound.verify(old)
    assert (response.status_code, response.headers["X-BFF-Code"]) == (401, "device_unproven")
    assert "Authorization" not in response.headers
    assert response.json and response.json["login_url"] == "/auth/login"
    lines = [line for line in audit_lines() if line["event"] == "device_refused"]
    assert [(line["reason"], line["origin"]) for line in lines] == [(reason, "forward_auth")]


def test_an_outage_of_ours_is_told_as_one(bound: Bound, audit_lines: AuditLines) -> None:
    [name] = device_session_ids(bound.hashes, bound.key)
    skipped = f'server_error;session_identifier="{name}"'
    response = bound.verify(None, **{"Secure-Session-Skipped": skipped})
    told = response.status_code, response.headers["X-BFF-Code"]
    assert told == (503, "device_check_unavailable")
    [line] = [line for line in audit_lines() if line["event"].startswith("device_")]
    assert (line["event"], line["outcome"], line["reason"]) == (
        "device_unbound_by_browser", "failed", "server_error"
    )  # fmt: skip
