"""How does a test get the BFF with Keycloak in place of our provider?

Its counts have oidc-provider's names, so that the same checks judge both.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from http.cookiejar import Cookie, DefaultCookiePolicy
from typing import Any

import requests

from tests.interop.cluster import SPA, InteropBrowser, InteropCluster
from tests.interop_keycloak.server import REALM_FILE, TIMEOUT_SECONDS, Keycloak
from tests.support.ageing import stored_tokens
from tests.support.gateway import ORDERS, REPORTS, STOCK, SeveralAPIs

SIGN_IN = "/auth/login"
TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
NAMES = {
    "CODE_TO_TOKEN": "token.authorization_code",
    "REFRESH_TOKEN": "token.refresh_token",
    "CLIENT_LOGIN": "token.client_credentials",
    "TOKEN_EXCHANGE": f"token.{TOKEN_EXCHANGE}",
    "REVOKE_GRANT": "revocation",
    "LOGOUT": "logout",
}
"""What Keycloak's events are called at oidc-provider."""
EVENTS_MAX = 100_000
SCOPE = "openid profile email"
"""Not `offline_access`: see docs/keycloak.md."""


class KeycloakCluster(InteropCluster):
    """A cluster whose provider is Keycloak, with a realm of its own.

    Args:
        keycloak: The running one.
        replicas: How many BFF processes.
        env: More environment variables of the BFF.
    """

    def __init__(
        self, keycloak: Keycloak, replicas: int = 1, *, env: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(replicas, env=env)
        self.keycloak = keycloak
        realm = json.loads(REALM_FILE.read_text())
        app = next(one for one in realm["clients"] if one["clientId"] == "app")
        self.client = {
            "client_id": app["clientId"],
            "client_secret": app["secret"],
            "token_endpoint_auth_method": "client_secret_post",
        }

    def __enter__(self) -> KeycloakCluster:
        super().__enter__()
        return self

    def _start_provider(self) -> None:
        self.realm = self.keycloak.create_realm(self.base_url)
        self.issuer = f"{self.keycloak.url}/realms/{self.realm}"

    def environment(self) -> dict[str, str]:
        """The environment of every replica."""
        return super().environment() | {"AUTH0_SCOPE": SCOPE, "BFF_SPA_DIR": str(SPA)} | self._env

    def browser(self, email: str = "demo@example.com") -> KeycloakBrowser:
        """A new browser without cookies, whose person signs in as *email*."""
        urls = [self.url(i) for i in range(len(self.ports))]
        browser = KeycloakBrowser(urls, email, "demo")
        browser.issuer = self.issuer
        browser.at_provider.cookies.set_policy(LoopbackIsSecure())
        self._stack.callback(browser.close)
        return browser

    # ------------------------------------------------------------ what Keycloak says
    def admin(self, method: str, path: str = "", body: Any = None) -> Any:
        """Send a request of the administrator about this realm."""
        return self.keycloak.admin(method, f"/{self.realm}{path}", body)

    def counts(self) -> dict[str, int]:
        """What it has granted, refused and ended, from its events."""
        return dict(Counter(_name(e) for e in self.admin("GET", f"/events?max={EVENTS_MAX}")))

    def is_active(self, refresh_token: str | None) -> bool:
        """Whether Keycloak accepts this refresh token, which spends it.

        Its introspection calls every rotating refresh token inactive.
        """
        assert refresh_token, "the session has no refresh token"
        client = {name: self.client[name] for name in ("client_id", "client_secret")}
        response = requests.post(
            f"{self.issuer}/protocol/openid-connect/token",
            data=client | {"grant_type": "refresh_token", "refresh_token": refresh_token},
            timeout=TIMEOUT_SECONDS,
        )
        assert response.ok or response.json()["error"] == "invalid_grant", response.text
        return response.ok

    def refresh_token(self, browser: InteropBrowser) -> str | None:
        """The refresh token that the browser's session holds now."""
        return stored_tokens(self, browser.cookie).refresh_token


class KeycloakBrowser(InteropBrowser):
    """A browser whose person fills in Keycloak's pages."""

    one_time_password = ""

    def log_in(self, path: str = SIGN_IN, *, replica: int = 0) -> requests.Response:
        """The whole sign-in; the callback's answer."""
        return super().log_in(path, replica=replica)

    def answers(self) -> dict[str, str]:
        """What the person puts into the provider's forms, by the fields' names."""
        return {
            "username": self._email, "password": self._password, "otp": self.one_time_password
        }  # fmt: skip


class LoopbackIsSecure(DefaultCookiePolicy):
    """Keycloak's cookies are `Secure`; on the loopback, browsers send those over http, too."""

    def set_ok(self, cookie: Cookie, request: Any) -> bool:
        """Take the cookie, for http."""
        cookie.secure = False
        return super().set_ok(cookie, request)


class KeycloakGateway(SeveralAPIs, KeycloakCluster):
    """Several APIs behind Keycloak: a client scope opens each of them."""

    routes: tuple[dict[str, Any], ...] = (
        {"prefix": "/api", "to": "https://demo-api"},
        {"prefix": "/api/orders", "to": ORDERS, "token": "audience", "audience": ORDERS,
         "scope": "openid read:orders"},
        {"prefix": "/api/reports", "to": REPORTS, "token": "exchange", "audience": REPORTS,
         "scope": "read:reports"},
        {"prefix": "/api/stock", "to": STOCK, "token": "client", "scope": "read:stock"},
        {"prefix": "/api/secret", "to": "https://demo-api", "acr_values": ["second-factor"]},
        {"prefix": "/api/recent", "to": "https://demo-api", "max_age_seconds": 60},
    )  # fmt: skip

    def __enter__(self) -> KeycloakGateway:
        super().__enter__()
        return self

    def environment(self) -> dict[str, str]:
        """The environment of every replica."""
        return super().environment() | {
            "AUTH0_SCOPE": f"{SCOPE} read:orders",
            "BFF_RESOURCE_PARAMETER": "audience",
        }


def _name(event: dict[str, Any]) -> str:
    kind = event["type"]
    known = NAMES.get(kind.removesuffix("_ERROR"), kind.lower())
    return f"{known}.{400 if kind.endswith('_ERROR') else 200}"
