"""How does a test get a whole installation: Redis, provider, API and several BFF processes?

    with Cluster(replicas=3) as cluster:
        browser = cluster.browser()
        browser.log_in()
        browser.api("/items", replica=2)

All replicas share `APP_BASE_URL`, as behind a load balancer; the test chooses one per request.
"""

from __future__ import annotations

import json
import secrets
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import redis
import requests

from bff.core.sealing import Sealer
from demo.program_group import ProgramGroup
from tests.support.browser_client import BrowserClient
from tests.support.processes import Process, free_port
from tests.support.redis_server import RedisServer
from tests.support.scale import LEASE, cache_environment
from tests.support.warm_start import ENVIRONMENT, WarmProcess

ROOT = Path(__file__).resolve().parents[2]
AUDIENCE = "https://demo-api"
CLIENT_ID = "test-client"
CLIENT_SECRET = "test-client-secret-value"  # noqa: S105
EMAIL = "demo@example.com"
PASSWORD = "demo"  # noqa: S105
TIMEOUT_SECONDS = 20


class Cluster(ProgramGroup):
    """A whole installation on free ports, stopped at the end of the `with` block.

    Args:
        replicas: How many BFF processes.
        redis: A Redis that the test has started; None starts one.
        provider: Settings of the demo provider (`ProviderSettings` fields).
        env: More environment variables of the BFF.
        api_url: The test's own upstream; None starts the demo API.
        api_asks: Whether the demo API checks the deny-list, as in `make run`.
    """

    def __init__(
        self,
        replicas: int = 1,
        *,
        redis: RedisServer | None = None,
        provider: Mapping[str, Any] | None = None,
        env: Mapping[str, str] | None = None,
        api_url: str | None = None,
        api_asks: bool = True,
    ) -> None:
        super().__init__()
        self._given_redis = redis
        self._provider_settings = dict(provider or {})
        self._env = cache_environment() | dict(env or {})
        self._api_url = api_url
        self._api_asks = api_asks
        self.ports = [free_port() for _ in range(replicas)]
        self.base_url = f"http://localhost:{self.ports[0]}"
        self.secret = secrets.token_hex(32)
        self.prefix = f"test-{secrets.token_hex(6)}"
        self.serve_options: list[str] = []
        """More options of `bff serve`, for replicas that start from now on."""

    # ------------------------------------------------------------ the parts
    def _start_all(self) -> None:
        self.redis = self._given_redis or self._stack.enter_context(RedisServer())
        self._start_provider()
        self.api_url = self._api_url or self._start_api()
        self.replicas = [self.start_replica(port) for port in self.ports]

    def _start_provider(self) -> None:
        settings = {
            "port": 0,
            "audiences": [AUDIENCE],
            "clients": [
                {
                    "client_id": CLIENT_ID,
                    "client_secret": CLIENT_SECRET,
                    "redirect_uris": [f"{self.base_url}/auth/callback"],
                    "post_logout_redirect_uris": [f"{self.base_url}/auth/logged-out"],
                    "backchannel_logout_uri": f"{self.base_url}/auth/backchannel-logout",
                }
            ],
        } | self._provider_settings
        directory = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        file = directory / "provider.json"
        file.write_text(json.dumps(settings))
        command = [sys.executable, "-m", "demo.provider", "--config", str(file)]
        self.provider: Process = self._stack.enter_context(
            WarmProcess(command, name="provider", env=ENVIRONMENT)
        )
        ready = self.provider.wait_ready(TIMEOUT_SECONDS)
        self.issuer: str = ready["issuer"]
        self._control_key: str = ready["control_key"]

    def _start_api(self, audience: str = AUDIENCE) -> str:
        command = [
            sys.executable, "-m", "demo.api", "--port", "0",
            "--issuer", self.issuer, "--audience", audience,
        ]  # fmt: skip
        # With Sentinel or a cluster, an API has to make its Redis client itself.
        asks = self._api_asks and self.redis.url.startswith("redis://")
        told = self.api_environment() if asks else {}
        self.api = self._stack.enter_context(
            WarmProcess(command, name="api", env=ENVIRONMENT | told)
        )
        return f"http://127.0.0.1:{self.api.wait_ready(TIMEOUT_SECONDS)['port']}"

    def api_environment(self) -> dict[str, str]:
        """The settings of the deny-list for an API."""
        return {
            "REDIS_URL": self.redis.url,
            "REDIS_PREFIX": self.prefix,
            "DENY_LIST_KEY": Sealer([self.secret]).revoked_token_names.as_text(),
        }

    def start_replica(self, port: int, **env: str) -> Process:
        """Start one more BFF process on *port*, with *env* over the common settings."""
        name, tree = f"bff:{port}", self.source_tree(port)
        command = [sys.executable, "-m", "bff", "serve", "--port", str(port), *self.serve_options]
        if tree == ROOT:
            # Tests count what the provider is asked.
            command.append("--no-start-check")
        kind = WarmProcess if tree == ROOT else Process
        process = self._stack.enter_context(
            kind(command, name=name, env=self.environment() | env, cwd=tree)
        )
        process.wait_for_http(f"http://127.0.0.1:{port}/readyz")
        return process

    def source_tree(self, port: int) -> Path:
        """The folder whose `bff` the replica on *port* runs."""
        return ROOT

    def environment(self) -> dict[str, str]:
        """The environment of every replica."""
        return {
            **ENVIRONMENT,
            "OIDC_ISSUER": self.issuer,
            "AUTH0_CLIENT_ID": CLIENT_ID,
            "AUTH0_CLIENT_SECRET": CLIENT_SECRET,
            "AUTH0_SECRET": self.secret,
            "AUTH0_AUDIENCE": AUDIENCE,
            "APP_BASE_URL": self.base_url,
            "BFF_API_URL": self.api_url,
            "REDIS_URL": self.redis.url,
            "BFF_REDIS_PREFIX": self.prefix,
            # A short stall of the machine must not count as an outage.
            "BFF_REDIS_TIMEOUT_SECONDS": "3",
        } | self._env

    # ------------------------------------------------------------ what tests do with them
    def wait_for_caches(self) -> None:
        """Wait until no process trusts its cached copy of a record that was changed just now."""
        # No event shows when; the lease is the limit.
        time.sleep(int(self._env[LEASE]) / 1000)

    def url(self, replica: int = 0) -> str:
        """The address of a replica."""
        return f"http://localhost:{self.ports[replica]}"

    def browser(self) -> BrowserClient:
        """A new browser without cookies."""
        browser = BrowserClient([self.url(i) for i in range(len(self.ports))], EMAIL, PASSWORD)
        self._stack.callback(browser.close)
        return browser

    def control(self, method: str, path: str, **body: Any) -> Any:
        """Send a control request to the provider; see demo/provider/control.py."""
        response = requests.request(
            method,
            f"{self.issuer}_control/{path}",
            json=body if method == "POST" else None,
            headers={"X-Control-Key": self._control_key},
            timeout=TIMEOUT_SECONDS,
        )
        assert response.ok, response.text
        return response.json() if response.content else None

    def counts(self) -> dict[str, int]:
        """The provider's counts of requests and outcomes."""
        return dict(self.control("GET", "counts"))

    def issued(self, kind: str) -> list[dict[str, Any]]:
        """Every token of *kind* that the provider has issued, with its state."""
        return [token for token in self.control("GET", "tokens") if token["kind"] == kind]

    def active_refresh_tokens(self) -> int:
        """How many refresh tokens the provider would still accept."""
        return sum(token["state"] == "active" for token in self.issued("refresh_token"))

    def tracking_connections(self) -> int:
        """How many connections track changes in Redis."""
        return sum("t" in client["flags"] for client in self.store().client_list())

    def store(self) -> redis.Redis:
        """A client of the cluster's Redis."""
        if hasattr(self.redis, "client_of_all"):
            client_of_all: redis.Redis = self.redis.client_of_all()
            return client_of_all
        client = self.redis.client()
        self._stack.callback(client.close)
        return client

    def keys(self, kind: str) -> list[bytes]:
        """The current keys of one kind (`session`, `tombstone`, `{outbox}:entry`, …)."""
        return list(self.store().scan_iter(f"{self.prefix}:{kind}:*", count=1000))
