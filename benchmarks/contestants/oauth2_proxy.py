"""The peer oauth2-proxy, where a binary of it is on the PATH; Debian has none.

Set up as its documentation advises: sessions in Redis, 401 for calls of the API without a session,
and the access token for the upstream by its "alpha" configuration, which alone can do that.
"""

from __future__ import annotations

import json
import shutil
from typing import Any
from urllib.parse import urlencode

from benchmarks.browser import NAVIGATION, Browser
from benchmarks.contestants.contestant import Contestant, Surroundings
from benchmarks.ground import AUDIENCE
from benchmarks.programs import SERVER_CORE, Pinned, find

PROGRAM = "oauth2-proxy"


def is_here() -> bool:
    """Whether there is a binary."""
    return shutil.which(PROGRAM) is not None


class OAuth2Proxy(Contestant):
    """One Go process for one core."""

    name = "oauth2-proxy"
    login_path = "/oauth2/start?rd=/"

    @property
    def callback(self) -> str:
        """Where the provider sends browsers back to."""
        return f"{self.base_url}/oauth2/callback"

    def start(self, around: Surroundings) -> None:
        """Start it with its sessions in the common Redis."""
        folder = around.ground.subfolder(self.name)
        # What is JSON is YAML.
        (folder / "alpha.yaml").write_text(json.dumps(self._alpha(around)))
        self.provider = around.provider
        options = {
            "alpha-config": str(folder / "alpha.yaml"),
            "redirect-url": self.callback,
            "email-domain": "*",
            "cookie-secret": self.secret[:32],
            "cookie-secure": "false",
            "cookie-expire": "168h",
            # It refreshes by the age of the session, not by the token's expiry.
            "cookie-refresh": f"{around.access_token_seconds * 4 // 5}s",
            "session-store-type": "redis",
            "redis-connection-url": around.ground.redis_url,
            "skip-provider-button": "true",
            "api-route": "^/api/",
            "whitelist-domain": "127.0.0.1:*",
            "request-logging": "false",
            "auth-logging": "false",
        }
        command = [find(PROGRAM), *(f"--{name}={value}" for name, value in options.items())]
        program = Pinned(
            self.name, command, core=SERVER_CORE, folder=folder, env={"GOMAXPROCS": "1"}
        )
        around.ground.run(program).wait_for_http(f"{self.base_url}/ping")
        self.programs = [program]

    def check_seen(self, seen: dict[str, str]) -> None:
        """It passes its own cookie on to the upstream (its issue 1388), so that isn't looked at."""

    def log_out_here(self, browser: Browser) -> str:
        """Sign out by its own address for that, which redirects to the provider's."""
        leave = {"client_id": self.client_id, "post_logout_redirect_uri": self.base_url}
        onward = f"{self.provider.issuer}/session/end?{urlencode(leave)}"
        url = f"{self.base_url}/oauth2/sign_out?{urlencode({'rd': onward})}"
        response = browser.ask("GET", url, NAVIGATION)
        assert response.status in (302, 303), f"{response.status} {response.body[:300]!r}"
        return response.header("location")

    def _alpha(self, around: Surroundings) -> dict[str, Any]:
        told = self.settings(around)
        provider = {
            "id": "provider",
            "provider": "oidc",
            "clientID": told["client_id"],
            "clientSecret": told["client_secret"],
            "scope": told["scope"],
            "code_challenge_method": "S256",
            "loginURLParameters": [
                {"name": "prompt", "default": ["consent"]},
                {"name": "audience", "default": [AUDIENCE]},
            ],
            "oidcConfig": {
                "issuerURL": told["issuer"],
                "emailClaim": "email",
                "audienceClaims": ["aud"],
            },
        }
        upstream = {
            "id": "api",
            "path": "^/api/(.*)$",
            "rewriteTarget": "/$1",
            "uri": told["upstream"],
        }
        token = {"claimSource": {"claim": "access_token", "prefix": "Bearer "}}
        return {
            "server": {"bindAddress": f"127.0.0.1:{self.port}"},
            "providers": [provider],
            "upstreamConfig": {"upstreams": [upstream]},
            "injectRequestHeaders": [{"name": "Authorization", "values": [token]}],
        }
