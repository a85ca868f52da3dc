"""Routes of the application's own wait for the short-lived cookie, too, and need it."""

from __future__ import annotations

import flask

import bff
from bff.access.own_routes import added_paths
from bff.access.session_cookie import cookie_name
from bff.sessions.lifecycle import session_key
from tests.support.device_key import DeviceKey
from tests.support.fixtures import MakeReceiver

OURS = "https://app.example.com"
SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}


def test_browsers_are_told_of_them(receiver_for: MakeReceiver) -> None:
    app = receiver_for().app
    assert added_paths(app) == []
    app.add_url_rule("/reports/<int:number>/pages", "pages", view_func=lambda: "")
    app.add_url_rule("/own", "own", view_func=bff.signed_in(lambda: ""), methods=["POST"])
    app.add_url_rule("/webhook", "webhook", view_func=bff.machine_route(lambda: ""))
    assert added_paths(app) == ["/own", "/reports"]


def test_a_copied_cookie_reads_and_writes_nothing(receiver_for: MakeReceiver) -> None:
    """Nor does a view see the session's data after it was refused once."""
    receiver = receiver_for(APP_BASE_URL=OURS, BFF_DEVICE_BINDING="offer")
    app, stores = receiver.app, receiver.services.stores
    seen: list[object] = []

    @app.get("/own")
    def own() -> str:
        for _ in range(2):
            try:
                seen.append(bff.current_user())
            except Exception as error:
                seen.append(type(error).__name__)
        try:
            seen.append(flask.session.get("secret"))
        except Exception as error:
            seen.append(type(error).__name__)
        return ""

    cookie_id = receiver.services.sessions.start(receiver.sign_in())
    key = session_key(cookie_id)
    assert key
    receiver.services.sessions.write_data(key, b'{"secret": "x"}')
    browser = app.test_client()
    domain = "app.example.com"
    browser.set_cookie(cookie_name(receiver.config), cookie_id, domain=domain, secure=True)
    browser.get("/own", base_url=OURS, headers=SAME_ORIGIN)
    assert seen[2] == "x"
    seen.clear()
    stores.device_keys.bind(key, DeviceKey().public)
    name = f"{receiver.config.redis_prefix}:session:{{{key}}}"
    stores.database.command("HINCRBY", name, "bound_at", -60)
    browser.get("/own", base_url=OURS, headers=SAME_ORIGIN)
    assert seen == ["DeviceUnproven"] * 3
