"""An application with the two endpoints of a sign-in, a provider, and one browser."""

import json
from typing import Any, cast
from urllib.parse import parse_qs, urlencode, urlsplit

from flask import Flask, request
from flask.sessions import SessionInterface
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from bff.access.session_cookie import BrowserSession
from bff.config import Config, load
from bff.core.model import LoginTransaction, SignIn
from bff.core.sealing import Sealer
from bff.provider.create import create_endpoint_client
from bff.sessions.lifecycle import Sessions
from bff.web import error_responses, security_headers
from bff.web.login import create_blueprint
from bff.web.login_transaction import LoginTransactions
from tests.support.provider_client import (
    CLIENT_ID,
    CLIENT_SECRET,
    EMAIL,
    PASSWORD,
    ProviderClient,
)
from tests.support.provider_form import sign_in_at_provider
from tests.support.sign_in_attempts import AttemptsInMemory
from tests.support.standalone_provider import StandaloneProvider

ORIGIN = "http://localhost:9"
SECRET = "0123456789abcdef0123456789abcdef"
NAVIGATION = {"Sec-Fetch-Dest": "document", "Sec-Fetch-Mode": "navigate", "Accept": "text/html"}


class OneSession(SessionInterface):
    """`flask.session` with the session key that the test sets."""

    def __init__(self, world: "World") -> None:
        self._world = world

    def open_session(self, *_: Any) -> Any:
        browser = BrowserSession([])
        browser.session_key = self._world.old_session_key
        return browser

    def save_session(self, *_: Any) -> None:
        return None


class World:
    """An application with the two endpoints of a sign-in, a provider, and one browser."""

    def __init__(self, issuer: str, control: ProviderClient, **settings: str) -> None:
        self.control = control
        self.config: Config = load(
            {
                "OIDC_ISSUER": issuer, "AUTH0_CLIENT_ID": CLIENT_ID,
                "AUTH0_CLIENT_SECRET": CLIENT_SECRET, "AUTH0_SECRET": SECRET,
                "APP_BASE_URL": ORIGIN, "BFF_API_URL": "http://127.0.0.1:7",
                "BFF_PROVIDER_TIMEOUT_SECONDS": "5",
            } | settings
        )  # fmt: skip
        self.provider = StandaloneProvider(create_endpoint_client(self.config))
        self.begun: list[tuple[SignIn, LoginTransaction]] = []
        self.old_session_key: str | None = None
        self.fail_with: Exception | None = None
        self._sealer = Sealer([SECRET])
        self.app = Flask(__name__, static_folder=None)
        self.app.session_interface = OneSession(self)
        # Of all sessions, a sign-in uses these methods only.
        sessions = cast(Sessions, self)
        self.app.register_blueprint(
            create_blueprint(self.config, self.provider, sessions, self._sealer, AttemptsInMemory())
        )
        error_responses.register(self.app)
        security_headers.register(self.app, self.config)
        self.browser = self.new_browser()

    def start(self, sign_in: SignIn, *, old_session_key: str | None, **_: Any) -> str:
        """Stands in for `Sessions.start`: stores the sign-in and its transaction in `begun`."""
        if self.fail_with is not None:
            raise self.fail_with
        transactions = LoginTransactions(self.config, self._sealer)
        transaction = transactions.find(request.args["state"], request.cookies)[1]
        assert transaction.old_session_key == old_session_key
        self.begun.append((sign_in, transaction))
        return "A" * 43

    def is_browser_closed(self, browser_id: str) -> bool:
        """Stands in for `Sessions.is_browser_closed`: no browser was signed out."""
        return False

    def is_signed_in(self, *_: Any) -> bool:
        return False

    def browser_id_to_keep(self, browser_ids: list[str]) -> str:
        """Stands in for `Sessions.browser_id_to_keep`."""
        return browser_ids[0]

    def is_current(self, *_: Any) -> bool:
        """Stands in for `Sessions.is_current`: no other sign-in was finished meanwhile."""
        return True

    def new_browser(self) -> FlaskClient:
        return self.app.test_client()

    def get(self, url: str, **more: str) -> TestResponse:
        return self.browser.get(url, base_url=self.config.app_base_url, headers=NAVIGATION | more)

    def login(self, **query: str) -> str:
        """Start a sign-in; returns the address at the provider."""
        response = self.get(f"/auth/login?{urlencode(query)}")
        assert response.status_code == 302, response.text
        return response.headers["Location"]

    def at_provider(self, url: str) -> str:
        """Sign in at the provider; returns the address of the callback."""
        return sign_in_at_provider(self.control.browser, url, EMAIL, PASSWORD)

    def callback_url(self, **query: str) -> str:
        """Sign in up to the callback; returns its address without requesting it."""
        return self.at_provider(self.login(**query))

    def login_cookies(self) -> set[str]:
        jar = self.browser._cookies or {}
        return {cookie.key for cookie in jar.values() if "login-" in cookie.key}

    def close(self) -> None:
        self.provider.close()


def code_of(response: TestResponse) -> str:
    """The stable code on an error page or in a problem document."""
    if response.is_json or "problem" in response.content_type:
        return str(json.loads(response.data)["code"])
    codes = ("state_invalid", "issuer_mismatch", "parameter_invalid", "return_to_invalid",
             "id_token_invalid", "sign_in_denied", "provider_unavailable", "provider_rejected",
             "request_refused", "method_not_allowed", "store_unavailable",
             "provider_misconfigured", "auth_time_missing")  # fmt: skip
    found = [code for code in codes if code in response.text]
    assert len(found) == 1, response.text
    return found[0]


def changed(url: str, **changes: str | None) -> str:
    """A callback address with other parameters; None removes one."""
    query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    parameters = {name: value for name, value in (query | changes).items() if value is not None}
    return f"/auth/callback?{urlencode(parameters)}"


def refused(world: World, url: str, code: str, status: int) -> TestResponse:
    """The callback at *url* is refused, and no session starts."""
    response = world.get(url)
    assert (response.status_code, code_of(response)) == (status, code)
    assert world.begun == []
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["Referrer-Policy"] == "no-referrer"
    return response
