"""The session interface and the guard on a bench, with endpoints for tests."""

from __future__ import annotations

from collections.abc import Callable

import flask
from flask import Flask, request
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from bff.access.browser_cookie import BrowserCookie
from bff.access.session_cookie import SessionCookieInterface, current
from bff.access.session_guard import SessionGuard
from bff.core.model import LoginTransaction
from bff.sessions.lifecycle import session_key
from bff.web import error_responses
from bff.web.session_start import begin_session
from tests.support.bench import Bench

HTTPS, HTTP = "https://app.example.com", "http://localhost:8000"
NAMES = {HTTPS: "__Host-Http-session", HTTP: "session"}


class Application:
    """The session interface and the guard on a bench, with endpoints for the tests."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.origin = bench.config.app_base_url
        self.name = NAMES[self.origin]
        self.meanwhile: Callable[[], object] = lambda: None
        """Called after a request has loaded its session and before its response."""
        self.app = Flask(__name__, static_folder=None)
        self.interface = SessionCookieInterface(self.app, bench.config, bench.sessions)
        self.app.session_interface = self.interface
        self.guard = SessionGuard(bench.config, self.interface, bench.sessions)
        error_responses.register(self.app)
        self._add_routes()
        self.browser = self.new_browser()

    def _add_routes(self) -> None:
        self.app.add_url_rule("/sign-in", view_func=self._sign_in)
        self.app.add_url_rule("/read", view_func=self._read)
        self.app.add_url_rule("/write", view_func=self._write)
        self.app.add_url_rule("/api", view_func=self._api)
        self.app.add_url_rule("/end", view_func=self._end)
        self.app.add_url_rule("/public", view_func=lambda: "public")
        self.app.add_url_rule("/unguarded", view_func=self._unguarded)

    def _sign_in(self) -> dict[str, object]:
        old = current().session_key
        if old:
            self.guard.session()
        transaction = LoginTransaction(
            state="", nonce="", code_verifier="", return_to="/", started_at=0, old_session_key=old
        )
        browser = BrowserCookie(self.bench.config)
        begin_session(self.bench.sessions, self.bench.sign_in(), transaction, browser)
        return dict(flask.session)

    def _read(self) -> dict[str, object]:
        self.guard.session()
        self.guard.session()
        return dict(flask.session)

    def _write(self) -> str:
        self.guard.session()
        flask.session.update(request.args)
        self.meanwhile()
        return "written"

    def _api(self) -> str:
        return self.guard.api_session().tokens.access_token

    def _end(self) -> dict[str, object]:
        session = self.guard.session()
        flask.session["late"] = "write"
        self.bench.sessions.end(session.key, "logout")
        current().clear_cookie()
        return dict(flask.session)

    def _unguarded(self) -> str:
        flask.session["x"] = "y"
        return "unguarded"

    def new_browser(self) -> FlaskClient:
        return self.app.test_client()

    def get(self, path: str, **headers: str) -> TestResponse:
        named = {"Sec-Fetch-Site": "same-origin"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        return self.browser.get(path, base_url=self.origin, headers=named)

    def sign_in(self) -> str:
        """Sign in, and return the session's key."""
        assert self.get("/sign-in").status_code == 200
        return self.key()

    def key(self) -> str:
        cookie = self.browser.get_cookie(self.name, domain=self.origin.split("/")[2].split(":")[0])
        key = session_key(cookie.value) if cookie else None
        assert key, "the browser has no cookie of ours"
        return key

    def stored(self, key: str) -> dict[bytes, bytes]:
        """The record in Redis."""
        name = self.bench.database.keys.session(key)
        return dict(self.bench.database.command("HGETALL", name))
