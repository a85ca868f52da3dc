"""Us, as shipped: `python -m bff serve`, one process for one core."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import bff
from benchmarks.browser import FETCH, Browser
from benchmarks.contestants.contestant import Contestant, Surroundings
from benchmarks.ground import AUDIENCE, SCOPE
from benchmarks.programs import SERVER_CORE, Pinned

SOURCE = Path(bff.__file__).resolve().parent.parent
SETTING = "BENCH_BFF_"
"""`BENCH_BFF_X=…` in the benchmark's environment sets `BFF_X` here, to try things out."""


class Ours(Contestant):
    """Direct: the browser's requests reach our own server."""

    name = "ours"
    login_path = "/auth/login?prompt=consent"
    token_endpoint_auth_method = "client_secret_post"  # noqa: S105

    options: tuple[str, ...] = ()
    """More arguments of `serve`."""
    settings_changed: Mapping[str, str] = MappingProxyType({})
    """Of the environment; nothing for the peers' part."""

    def start(self, around: Surroundings) -> None:
        """Start one process with the settings as they are by default."""
        self.programs = [self._serve(around, self.port)]

    def _serve(self, around: Surroundings, port: int) -> Pinned:
        ground = around.ground
        command = [sys.executable, "-m", "bff", "serve", "--port", str(port), *self.options]
        program = Pinned(
            self.name, command, core=SERVER_CORE, folder=ground.subfolder(self.name),
            env=self.environment(around),
        )  # fmt: skip
        ground.run(program).wait_for_http(f"http://127.0.0.1:{port}/readyz")
        return program

    def environment(self, around: Surroundings) -> dict[str, str]:
        """What is required, and nothing else."""
        told = self.settings(around)
        tried = {
            n.removeprefix("BENCH_"): v for n, v in os.environ.items() if n.startswith(SETTING)
        }
        return {
            "PYTHONPATH": str(SOURCE),
            "OIDC_ISSUER": told["issuer"],
            "AUTH0_CLIENT_ID": told["client_id"],
            "AUTH0_CLIENT_SECRET": told["client_secret"],
            "AUTH0_SECRET": told["secret"],
            "AUTH0_AUDIENCE": AUDIENCE,
            "AUTH0_SCOPE": SCOPE,
            "APP_BASE_URL": self.base_url,
            "BFF_API_URL": told["upstream"],
            "REDIS_URL": told["redis_url"],
            "BFF_REDIS_PREFIX": self.client_id,
            **self.settings_changed,
        } | tried

    def log_out_here(self, browser: Browser) -> str:
        """Sign out as the SPA's script does."""
        response = browser.ask("POST", f"{self.base_url}/auth/logout", FETCH | {"X-CSRF": "1"})
        assert response.status == 200, f"{response.status} {response.body[:300]!r}"
        return str(json.loads(response.body)["logout_url"])
