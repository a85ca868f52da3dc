"""A logout that comes in the middle of a registration or of a refresh wins: nothing lives again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from werkzeug.test import TestResponse

from bff.access.device_binding import DeviceBinding
from bff.access.session_cookie import cookie_name
from bff.core.device_binding import COOKIE
from bff.sessions.lifecycle import session_key
from tests.support.device_key import DeviceKey
from tests.support.fixtures import MakeReceiver
from tests.support.receiver import Receiver

OURS = "https://app.example.com"


class Browser:
    """One whose session can end at any point of a request."""

    def __init__(self, receiver: Receiver) -> None:
        self.receiver, self.key = receiver, DeviceKey()
        services = receiver.services
        self.stores, self.sessions = services.stores, services.sessions
        made = DeviceBinding.of(receiver.config, services.sealer, services.stores)
        assert made
        self.binding = made
        self.cookie = self.sessions.start(receiver.sign_in())
        self.session_key = session_key(self.cookie) or ""
        self._client = receiver.app.test_client(use_cookies=False)

    def log_out(self) -> None:
        assert self.sessions.end(self.session_key, "logout")

    def post(self, path: str, **fields: str) -> TestResponse:
        named = {name.replace("_", "-"): value for name, value in fields.items()}
        cookie = f"{cookie_name(self.receiver.config)}={self.cookie}"
        headers = {"Cookie": cookie, "Sec-Fetch-Site": "same-origin"} | named
        return self._client.post(f"/auth/device/{path}", base_url=OURS, headers=headers)

    def register(self) -> TestResponse:
        offer = dict(
            part.split("=", 1)
            for part in self.binding.registration(self.session_key).split(";")[1:]
        )
        given = {name: value.strip('"') for name, value in offer.items()}
        proof = self.key.registration(given["challenge"], given["authorization"])
        return self.post("register", Secure_Session_Response=proof)

    def refresh(self) -> TestResponse:
        now = self.stores.database.now()
        proof = self.key.refresh(self.binding.challenges.new("refresh", self.session_key, now))
        [name] = self.binding.session_ids(self.session_key)
        return self.post("refresh", Secure_Session_Response=proof, Sec_Secure_Session_Id=name)

    def is_over(self, response: TestResponse) -> bool:
        """Whether the session is, with every cookie that this response has set."""
        bound = response.headers.get("Set-Cookie", "").partition(";")[0]
        cookies = f"{cookie_name(self.receiver.config)}={self.cookie}; {bound}"
        headers = {"Cookie": cookies, "Sec-Fetch-Site": "same-origin"}
        profile = self._client.get("/auth/profile", base_url=OURS, headers=headers)
        ended = profile.status_code == 401 and (profile.json or {})["code"] == "session_ended"
        return ended and not self.receiver.names("session")


@pytest.fixture
def browser(receiver_for: MakeReceiver) -> Browser:
    return Browser(receiver_for(APP_BASE_URL=OURS, BFF_DEVICE_BINDING="offer"))


def before(meanwhile: Callable[[], object], real: Callable[..., Any]) -> Callable[..., Any]:
    def both(*args: Any, **named: Any) -> Any:
        meanwhile()
        return real(*args, **named)

    return both


def test_without_a_logout_both_succeed(browser: Browser) -> None:
    for response in (browser.register(), browser.refresh()):
        assert response.status_code == 200
        assert response.headers["Set-Cookie"].startswith(f"{COOKIE}=")
        assert not browser.is_over(response)


@pytest.mark.parametrize("step", ["load", "bind"])
def test_a_logout_during_a_registration(
    browser: Browser, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    store = {"load": browser.stores.records, "bind": browser.stores.device_keys}[step]
    monkeypatch.setattr(store, step, before(browser.log_out, getattr(store, step)))
    response = browser.register()
    monkeypatch.undo()
    assert (response.status_code, (response.json or {})["code"]) == (401, "session_ended")
    assert "Set-Cookie" not in response.headers
    assert browser.is_over(response)


@pytest.mark.parametrize(
    ("store", "step", "status"),
    [("device_keys", "key_of", 401), ("seen_messages", "add_first", 200)],
)
def test_a_logout_during_a_refresh(
    browser: Browser, monkeypatch: pytest.MonkeyPatch, store: str, step: str, status: int
) -> None:
    """At the latest moment the browser still gets a cookie: of a session that is over."""
    assert browser.register().status_code == 200
    one = getattr(browser.stores, store)
    monkeypatch.setattr(one, step, before(browser.log_out, getattr(one, step)))
    response = browser.refresh()
    monkeypatch.undo()
    assert response.status_code == status
    assert browser.is_over(response)
    assert (browser.refresh().json or {})["continue"] is False
