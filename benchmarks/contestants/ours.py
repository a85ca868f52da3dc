"""How is the BFF started? `python -m bff serve` with its defaults, one process for one core."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import bff
from benchmarks.browser import FETCH, Browser
from benchmarks.contestants.contestant import Contestant, RunContext
from benchmarks.programs import SERVER_CORE, Pinned
from benchmarks.testbed import AUDIENCE, SCOPE

SOURCE = Path(bff.__file__).resolve().parent.parent
SETTING = "BENCH_BFF_"
"""`BENCH_BFF_X=…` in the benchmark's environment sets `BFF_X` here, for experiments."""


class Ours(Contestant):
    """Requests of browsers go directly to the BFF's server."""

    name = "ours"
    login_path = "/auth/login?prompt=consent"
    token_endpoint_auth_method = "client_secret_post"  # noqa: S105

    options: tuple[str, ...] = ()
    """More options of `serve`."""
    settings_changed: Mapping[str, str] = MappingProxyType({})
    """More environment variables."""

    def start(self, context: RunContext) -> None:
        """Start one process with default settings."""
        self.programs = [self._serve(context, self.port)]

    def _serve(self, context: RunContext, port: int) -> Pinned:
        testbed = context.testbed
        command = [sys.executable, "-m", "bff", "serve", "--port", str(port), *self.options]
        program = Pinned(
            self.name, command, core=SERVER_CORE, folder=testbed.subfolder(self.name),
            env=self.environment(context),
        )  # fmt: skip
        testbed.run(program).wait_for_http(f"http://127.0.0.1:{port}/readyz")
        return program

    def environment(self, context: RunContext) -> dict[str, str]:
        """The required settings only."""
        output = self.settings(context)
        tried = {
            n.removeprefix("BENCH_"): v for n, v in os.environ.items() if n.startswith(SETTING)
        }
        return {
            "PYTHONPATH": str(SOURCE),
            "OIDC_ISSUER": output["issuer"],
            "AUTH0_CLIENT_ID": output["client_id"],
            "AUTH0_CLIENT_SECRET": output["client_secret"],
            "AUTH0_SECRET": output["secret"],
            "AUTH0_AUDIENCE": AUDIENCE,
            "AUTH0_SCOPE": SCOPE,
            "APP_BASE_URL": self.base_url,
            "BFF_API_URL": output["upstream"],
            "REDIS_URL": output["redis_url"],
            "BFF_REDIS_PREFIX": self.client_id,
            **self.settings_changed,
        } | tried

    def log_out_here(self, browser: Browser) -> str:
        """Sign out as the SPA's script does."""
        response = browser.ask("POST", f"{self.base_url}/auth/logout", FETCH | {"X-CSRF": "1"})
        assert response.status == 200, f"{response.status} {response.body[:300]!r}"
        return str(json.loads(response.body)["logout_url"])
