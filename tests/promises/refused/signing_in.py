"""How does a test of promise 10 send a wrong callback, and check the result?"""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import msgspec
import requests

from bff.core.model import LoginTransaction
from bff.core.sealing import Sealer
from tests.support.browser_client import BrowserClient
from tests.support.cluster import EMAIL, PASSWORD, Cluster
from tests.support.provider_form import sign_in_at_provider
from tests.support.refusal import assert_refused
from tests.support.waiting import wait_for

COOKIE_DOMAIN = "localhost.local"
"""The domain of `localhost` in the cookie jar."""


@dataclass
class Attempt:
    """A sign-in for which the provider has responded, before the request to the callback.

    Attributes:
        location: The address of the callback, from the provider's redirect.
        known: The refresh tokens that were issued before.
    """

    cluster: Cluster
    browser: BrowserClient
    location: str
    known: set[str]
    secrets: list[str] = field(default_factory=list)

    def with_query(self, **changes: str | None) -> str:
        """The location with parameters changed; None removes one."""
        parts = urlsplit(self.location)
        query = dict(parse_qsl(parts.query)) | changes
        return urlunsplit(parts._replace(query=urlencode({k: v for k, v in query.items() if v})))

    def query(self, name: str) -> str:
        """A parameter of the location."""
        return dict(parse_qsl(urlsplit(self.location).query))[name]

    def assert_failed(self, response: requests.Response, status: int, code: str) -> None:
        """Check the error page, that there is no session, and no active refresh token."""
        assert_refused(response, status, code)
        assert self.browser.cookie is None
        assert response.headers["Referrer-Policy"] == "no-referrer"
        self.assert_no_token_left()

    def assert_no_token_left(self) -> None:
        """Check that the tokens of this attempt are revoked at the provider (promise 3)."""
        wait_for(lambda: self.active_refresh_tokens() == [], "the revocation of what was issued")
        wait_for(lambda: not self.cluster.keys("{outbox}:entry"), "its confirmation")

    def active_refresh_tokens(self) -> list[str]:
        """The active refresh tokens that were issued for this attempt."""
        issued = self.cluster.issued("refresh_token")
        return [
            token["value"]
            for token in issued
            if token["value"] not in self.known and token["state"] == "active"
        ]


def attempt(cluster: Cluster, path: str = "/auth/login") -> Attempt:
    """Sign in at the provider with a new browser, and stop before the callback."""
    browser = cluster.browser()
    known = {token["value"] for token in cluster.issued("refresh_token")}
    url = browser.authorize_url(path)
    location = sign_in_at_provider(browser.at_provider, url, EMAIL, PASSWORD)
    made = Attempt(cluster, browser, location, known)
    for name, value in login_cookies(browser).items():
        transaction = opened(cluster, name, value)
        made.secrets += [value, transaction.state, transaction.nonce, transaction.code_verifier]
    return made


def login_cookies(browser: BrowserClient) -> dict[str, str]:
    """The login cookies of this browser."""
    return {c.name: c.value or "" for c in browser.here.cookies if c.name.startswith("login-")}


def put_login_cookies(browser: BrowserClient, cookies: dict[str, str]) -> None:
    """Replace them."""
    browser.here.cookies.clear()
    for name, value in cookies.items():
        browser.here.cookies.set(name, value, domain=COOKIE_DOMAIN, path="/")


def opened(cluster: Cluster, name: str, value: str) -> LoginTransaction:
    """The content of a login cookie."""
    content = Sealer([cluster.secret]).open_text(value, f"login transaction {name}")
    return msgspec.json.decode(content, type=LoginTransaction)


def sealed(
    secret: str, name: str, transaction: LoginTransaction, context: str | None = None
) -> str:
    """The value of a login cookie, sealed with any key and for any name."""
    return Sealer([secret]).seal_text(
        msgspec.json.encode(transaction), context or f"login transaction {name}"
    )
