"""How does a test get the BFF with oidc-provider, the certified one from npm, in place of ours?

Nothing in `bff/` differs from any other installation; `CLIENTS` are the registrations to choose
from, one for each way of client authentication.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import requests
from joserfc.jwk import ECKey, RSAKey

from tests.interop.pages import go_through
from tests.support.browser_client import BrowserClient
from tests.support.cluster import TIMEOUT_SECONDS, Cluster
from tests.support.processes import Process
from tests.support.waiting import wait_for

HERE = Path(__file__).parent
SPA = HERE.parent.parent / "demo/spa"
SIGN_IN = "/auth/login?prompt=consent"
"""oidc-provider gives `offline_access` only with `prompt=consent` (OpenID Connect Core, 11)."""

RSA_KEY = RSAKey.generate_key(2048, private=True)
EC_KEY = ECKey.generate_key("P-256", {"kid": "interop-ec"}, private=True)
AWKWARD_SECRET = "p%ss w+rd:/?#[]@!$&'()*,;=\"\\~<>`{|}^_-.end"

CLIENTS: dict[str, dict[str, Any]] = {
    "post": {
        "client_id": "post-client",
        "client_secret": AWKWARD_SECRET,
        "token_endpoint_auth_method": "client_secret_post",
    },
    "basic": {
        "client_id": "basic:client %41+",
        "client_secret": AWKWARD_SECRET,
        "token_endpoint_auth_method": "client_secret_basic",
    },
    "jwt-rsa": {
        "client_id": "rsa-client",
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks": {"keys": [RSA_KEY.as_dict(private=False)]},
    },
    "jwt-ec": {
        "client_id": "ec-client",
        "token_endpoint_auth_method": "private_key_jwt",
        "token_endpoint_auth_signing_alg": "ES256",
        "jwks": {"keys": [EC_KEY.as_dict(private=False)]},
    },
}


class InteropCluster(Cluster):
    """A cluster whose provider is oidc-provider.

    Args:
        replicas: How many BFF processes.
        client: Which of `CLIENTS` the BFF is.
        env: More environment variables of the BFF.
        provider: More settings of provider.mjs.
    """

    def __init__(
        self,
        replicas: int = 1,
        *,
        client: str = "post",
        env: Mapping[str, str] | None = None,
        provider: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(replicas, env=env, provider=provider)
        self.client = CLIENTS[client]

    def __enter__(self) -> InteropCluster:
        super().__enter__()
        return self

    def _start_provider(self) -> None:
        self.directory = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        file = self.directory / "provider.json"
        file.write_text(json.dumps(self._settings()))
        command = [_node(), str(HERE / "provider.mjs"), str(file)]
        self.provider = self._stack.enter_context(Process(command, name="oidc-provider"))
        ready = self.provider.wait_ready(TIMEOUT_SECONDS)
        self.issuer = ready["issuer"]
        self._control_key = ready["control_key"]

    def _settings(self) -> dict[str, Any]:
        own = {"access_token_seconds": 300, "clients": self._clients()}
        return own | self._provider_settings

    def _clients(self) -> list[dict[str, Any]]:
        common = {
            "redirect_uris": [f"{self.base_url}/auth/callback"],
            "post_logout_redirect_uris": [f"{self.base_url}/auth/logged-out"],
            "grant_types": ["authorization_code", "refresh_token"],
            "backchannel_logout_uri": f"{self.base_url}/auth/backchannel-logout",
            "backchannel_logout_session_required": True,
        }
        return [client | common for client in CLIENTS.values()]

    def environment(self) -> dict[str, str]:
        """The environment of every replica."""
        method = self.client["token_endpoint_auth_method"]
        settings = {
            "AUTH0_CLIENT_ID": self.client["client_id"],
            "AUTH0_CLIENT_AUTH": method,
            "AUTH0_CLIENT_SECRET": self.client.get("client_secret", ""),
            "BFF_SPA_DIR": str(SPA),
        }
        if method == "private_key_jwt":
            settings["AUTH0_CLIENT_PRIVATE_KEY_FILE"] = str(self._key_file())
        return super().environment() | settings | self._env

    def _key_file(self) -> Path:
        """The RSA key as a PEM file, the EC key as a JWK: both forms that the setting takes."""
        file = self.directory / "client-key"
        if self.client["client_id"] == "rsa-client":
            file.write_bytes(RSA_KEY.as_pem(private=True))
        else:
            file.write_text(json.dumps(EC_KEY.as_dict(private=True)))
        return file

    def browser(self, email: str = "demo@example.com") -> InteropBrowser:
        """A new browser without cookies, whose person signs in as *email*."""
        urls = [self.url(i) for i in range(len(self.ports))]
        browser = InteropBrowser(urls, email, "any password will do")
        browser.issuer = self.issuer
        self._stack.callback(browser.close)
        return browser

    # ------------------------------------------------------------ what the provider says
    def control(self, method: str, path: str, **body: Any) -> Any:
        """Ask oidc-provider for its counts, refresh tokens or logout tokens; see provider.mjs."""
        answer = requests.request(
            method,
            f"{self.issuer}/_control/{path}",
            json=body or None,
            headers={"X-Control-Key": self._control_key},
            timeout=TIMEOUT_SECONDS,
        )
        assert answer.ok, answer.text
        return answer.json()

    def pushed(self) -> dict[str, Any]:
        """The authorization request that was pushed last, without what proves who pushed it."""
        return dict(self.control("GET", "pushed")[-1])

    def refresh_tokens(self) -> list[dict[str, Any]]:
        """Every refresh token that was ever issued: `token`, `grant_id`, `alive`."""
        return list(self.control("GET", "refresh-tokens"))

    def alive(self) -> list[str]:
        """The refresh tokens that could be used now."""
        return [one["token"] for one in self.refresh_tokens() if one["alive"]]

    def spend_directly(self, refresh_token: str) -> requests.Response:
        """Use a refresh token at the provider as the client itself would (secret in the body)."""
        return requests.post(
            f"{self.issuer}/token",
            data={
                "grant_type": "refresh_token",
                "refresh_token": refresh_token,
                "client_id": self.client["client_id"],
                "client_secret": self.client["client_secret"],
            },
            timeout=TIMEOUT_SECONDS,
        )

    def wait_until_outbox_is_empty(self) -> None:
        """Wait until every revocation that waited was confirmed by the provider."""
        wait_for(lambda: not self.keys("{outbox}:entry"), "every revocation confirmed")


class InteropBrowser(BrowserClient):
    """A browser whose person fills in oidc-provider's pages."""

    issuer: str

    def log_in(self, path: str = SIGN_IN, *, replica: int = 0) -> requests.Response:
        """The whole sign-in; the callback's answer."""
        answer = self.come_back(self.provider_answer(path, replica=replica), replica=replica)
        assert answer.status_code == 303, f"{answer.status_code}: {answer.text[:800]}"
        return answer

    def provider_answer(self, path: str = SIGN_IN, *, replica: int = 0) -> str:
        """Sign in at the provider and stop there: where it sends the browser back to."""
        url = self.authorize_url(path, replica=replica)
        return go_through(self.at_provider, url, self.issuer, self.answers())

    def answers(self) -> dict[str, str]:
        """What the person puts into the provider's forms, by the fields' names."""
        return {"login": self._email, "password": self._password}

    def finish_logout(self, logout_url: str, *, say_yes: bool = True) -> str:
        """Answer the provider's logout page; where it sends the browser back to."""
        pressed = {"logout": "yes"} if say_yes else {}
        return go_through(self.at_provider, logout_url, self.issuer, pressed)


def _node() -> str:
    node = shutil.which("node")
    if node is None:
        pytest.fail("node is not on the PATH; `make interop` needs Node 20 or later.")
    if not (HERE / "node_modules/oidc-provider").is_dir():
        pytest.fail("tests/interop/node_modules is missing; run `make interop`, which fills it.")
    return node
