"""How is oauth2-proxy set up, if a binary is on the PATH? Debian has none.

As its documentation recommends: sessions in Redis, 401 for API calls without a session,
and the access token for the upstream by its "alpha" configuration, which alone can do that.
"""

from __future__ import annotations

import json
import shutil
from typing import Any
from urllib.parse import urlencode

from benchmarks.browser import NAVIGATION, Browser
from benchmarks.contestants.contestant import Contestant, RunContext
from benchmarks.programs import SERVER_CORE, Pinned, find
from benchmarks.testbed import AUDIENCE

PROGRAM = "oauth2-proxy"


def is_here() -> bool:
    """Whether a binary is on the PATH."""
    return shutil.which(PROGRAM) is not None


class OAuth2Proxy(Contestant):
    """One Go process for one core."""

    name = "oauth2-proxy"
    login_path = "/oauth2/start?rd=/"

    @property
    def callback(self) -> str:
        """Its redirect URI."""
        return f"{self.base_url}/oauth2/callback"

    def start(self, context: RunContext) -> None:
        """Start it with its sessions in the shared Redis."""
        folder = context.testbed.subfolder(self.name)
        # JSON is valid YAML.
        (folder / "alpha.yaml").write_text(json.dumps(self._alpha(context)))
        self.provider = context.provider
        options = {
            "alpha-config": str(folder / "alpha.yaml"),
            "redirect-url": self.callback,
            "email-domain": "*",
            "cookie-secret": self.secret[:32],
            "cookie-secure": "false",
            "cookie-expire": "168h",
            # It refreshes by the age of the session, not by the token's expiry.
            "cookie-refresh": f"{context.access_token_seconds * 4 // 5}s",
            "session-store-type": "redis",
            "redis-connection-url": context.testbed.redis_url,
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
        context.testbed.run(program).wait_for_http(f"{self.base_url}/ping")
        self.programs = [program]

    def check_seen(self, seen: dict[str, str]) -> None:
        """Nothing: it forwards its own cookie to the upstream (its issue 1388)."""

    def log_out_here(self, browser: Browser) -> str:
        """Sign out at its own logout address, which redirects to the provider's."""
        leave = {"client_id": self.client_id, "post_logout_redirect_uri": self.base_url}
        onward = f"{self.provider.issuer}/session/end?{urlencode(leave)}"
        url = f"{self.base_url}/oauth2/sign_out?{urlencode({'rd': onward})}"
        response = browser.ask("GET", url, NAVIGATION)
        assert response.status in (302, 303), f"{response.status} {response.body[:300]!r}"
        return response.header("location")

    def _alpha(self, context: RunContext) -> dict[str, Any]:
        output = self.settings(context)
        provider = {
            "id": "provider",
            "provider": "oidc",
            "clientID": output["client_id"],
            "clientSecret": output["client_secret"],
            "scope": output["scope"],
            "code_challenge_method": "S256",
            "loginURLParameters": [
                {"name": "prompt", "default": ["consent"]},
                {"name": "audience", "default": [AUDIENCE]},
            ],
            "oidcConfig": {
                "issuerURL": output["issuer"],
                "emailClaim": "email",
                "audienceClaims": ["aud"],
            },
        }
        upstream = {
            "id": "api",
            "path": "^/api/(.*)$",
            "rewriteTarget": "/$1",
            "uri": output["upstream"],
        }
        token = {"claimSource": {"claim": "access_token", "prefix": "Bearer "}}
        return {
            "server": {"bindAddress": f"127.0.0.1:{self.port}"},
            "providers": [provider],
            "upstreamConfig": {"upstreams": [upstream]},
            "injectRequestHeaders": [{"name": "Authorization", "values": [token]}],
        }
