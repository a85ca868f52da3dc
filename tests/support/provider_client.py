"""How do tests use the demo provider? As a client, as a browser, and with its control key."""

import base64
import hashlib
import json
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
import requests

from demo.provider import ClientSettings, ProviderSettings, RunningProvider, start_provider
from tests.support.provider_form import TIMEOUT_SECONDS, sign_in_at_provider

CLIENT_ID = "client-one"
CLIENT_SECRET = "secret-one"
REDIRECT_URI = "http://localhost:9/auth/callback"
LOGGED_OUT_URI = "http://localhost:9/auth/logged-out"
AUDIENCE = "https://api.example.com"
EMAIL = "demo@example.com"
PASSWORD = "demo"


def client_settings(**changes: Any) -> ClientSettings:
    """A registered client; the arguments change it."""
    usual: dict[str, Any] = {
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "redirect_uris": (REDIRECT_URI,),
        "post_logout_redirect_uris": (LOGGED_OUT_URI,),
    }
    return ClientSettings(**(usual | changes))


def provider_settings(**changes: Any) -> ProviderSettings:
    """A provider on a free port with one client; the arguments change it."""
    usual: dict[str, Any] = {"port": 0, "clients": (client_settings(),)}
    return ProviderSettings(**(usual | changes))


class ProviderClient:
    """A client application and the browser of its user in one."""

    def __init__(self, provider: RunningProvider) -> None:
        self.issuer = provider.issuer
        self._control_key = provider.control_key
        self.browser = requests.Session()
        self.browser.trust_env = False
        self.code_verifier = secrets.token_urlsafe(48)

    def __enter__(self) -> "ProviderClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.browser.close()

    def authorize_url(self, **changes: str | None) -> str:
        digest = hashlib.sha256(self.code_verifier.encode()).digest()
        asked: dict[str, str | None] = {
            "response_type": "code",
            "client_id": CLIENT_ID,
            "redirect_uri": REDIRECT_URI,
            "scope": "openid profile email offline_access",
            "audience": AUDIENCE,
            "state": "the-state",
            "nonce": "the-nonce",
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        parameters = {name: value for name, value in (asked | changes).items() if value is not None}
        return f"{self.issuer}authorize?{urlencode(parameters)}"

    def sign_in(self, **changes: str | None) -> dict[str, str]:
        """The parameters of the authorization response."""
        url = sign_in_at_provider(self.browser, self.authorize_url(**changes), EMAIL, PASSWORD)
        return query_of(url)

    def silently(self, **changes: str | None) -> dict[str, str]:
        """The parameters of the authorization response to `prompt=none`."""
        response = self.get(self.authorize_url(prompt="none", **changes))
        return query_of(response.headers["Location"])

    def get(self, url: str, **parameters: str) -> requests.Response:
        return self.browser.get(
            url, params=parameters, allow_redirects=False, timeout=TIMEOUT_SECONDS
        )

    def exchange(self, code: str, **changes: str) -> requests.Response:
        return self.token(
            grant_type="authorization_code",
            code=code,
            redirect_uri=REDIRECT_URI,
            code_verifier=self.code_verifier,
            **changes,
        )

    def tokens(self, **changes: str | None) -> dict[str, Any]:
        """Sign in; returns the token response."""
        response = self.exchange(self.sign_in(**changes)["code"])
        assert response.status_code == 200, response.text
        return dict(response.json())

    def refresh(self, refresh_token: str) -> requests.Response:
        return self.token(grant_type="refresh_token", refresh_token=refresh_token)

    def token(self, **form: str) -> requests.Response:
        return self._post("oauth/token", form)

    def revoke(self, token: str) -> requests.Response:
        return self._post("oauth/revoke", {"token": token})

    def _post(self, path: str, form: dict[str, str]) -> requests.Response:
        identity = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
        with requests.Session() as session:
            session.trust_env = False
            return session.post(
                f"{self.issuer}{path}", data=identity | form, timeout=TIMEOUT_SECONDS
            )

    def control(self, method: str, path: str, **body: Any) -> Any:
        """Send a control request; returns the JSON of the response, or None."""
        response = self.browser.request(
            method,
            f"{self.issuer}_control/{path}",
            json=body if method == "POST" else None,
            headers={"X-Control-Key": self._control_key},
            timeout=TIMEOUT_SECONDS,
        )
        assert response.ok, response.text
        return response.json() if response.content else None

    def counts(self) -> dict[str, int]:
        return dict(self.control("GET", "counts"))

    def state_of(self, value: str) -> str:
        """active, rotated, used, revoked or expired."""
        found = [t for t in self.control("GET", "tokens") if t["value"] == value]
        return str(found[0]["state"])


StartClient = Callable[..., ProviderClient]
"""Starts a provider with these settings; returns a client of it."""


@pytest.fixture
def start_client() -> Iterator[StartClient]:
    """Starts providers with their own settings; they stop at the end of the test."""
    with ExitStack() as running:

        def start(**settings: Any) -> ProviderClient:
            provider = running.enter_context(start_provider(provider_settings(**settings)))
            return running.enter_context(ProviderClient(provider))

        yield start


def query_of(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))


def header_and_claims(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The header and the claims of a JWT, unverified."""
    header, claims = (
        json.loads(base64.urlsafe_b64decode(part + "==")) for part in token.split(".")[:2]
    )
    return header, claims
