"""What is attacked on this machine? A Redis, the provider, the APIs and several BFF processes.

The BFF is started as in production. All replicas have the same `APP_BASE_URL`, as behind a load
balancer, and different ports, so that the proof chooses one for each request.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import requests

from demo.child import Child, ChildFailed
from demo.guardian import Guardian
from demo.launch import AUDIENCE, CLIENT_ID, LOOPBACK, program_environment
from demo.program_group import ProgramGroup
from demo.prove.browser import Browser, send
from demo.provider.settings import TOKEN_EXCHANGE
from demo.redis.embedded import EmbeddedRedis, first_source, free_port

START_SECONDS = 60.0
POLL_SECONDS = 0.02
PORTS = range(28_000 + os.getpid() % 16, 32_000, 16)
"""Not those that a Redis may get: a program listens there only long after its port was chosen. Nor
those of most other proofs: two on one port would share the requests (Granian sets SO_REUSEPORT)."""
PROVIDER_TIMEOUT_SECONDS = 3
ACCESS_TOKEN_SECONDS = 300
USERS = 60
ORDERS = "https://orders.example"
ROUTES = {"audience": "/api/orders", "exchange": "/api/exchanged"}
"""The prefixes of the second API's routes, by token mode."""
PASSWORD = "demo"  # noqa: S105 - of users who exist only while the proof runs


class Installation(ProgramGroup):
    """All programs, started at the entry of a `with` block and stopped at its end.

    Args:
        replicas: How many BFF processes.
        replica_environment: More variables for each of them.
    """

    def __init__(self, replicas: int, replica_environment: Mapping[str, str]) -> None:
        super().__init__()
        self._more = dict(replica_environment)
        self._users = iter(range(USERS))
        self._extra: Child | None = None
        self.client_secret = secrets.token_urlsafe(32)
        self.admin_key = secrets.token_urlsafe(32)
        self.log_stream_key = secrets.token_urlsafe(32)
        self.introspection_secret = secrets.token_urlsafe(32)
        self.ports = [free_port(PORTS) for _ in range(replicas)]
        self.base_url = f"http://localhost:{self.ports[0]}"
        self.urls = [f"http://localhost:{port}" for port in self.ports]
        self._api_ports = {AUDIENCE: free_port(PORTS), ORDERS: free_port(PORTS)}
        self.apis = {api: f"http://{LOOPBACK}:{port}" for api, port in self._api_ports.items()}
        self.api_url = self.apis[AUDIENCE]

    # ------------------------------------------------------------ starting
    def _start_all(self) -> None:
        self._guardian = Guardian()
        self._stack.callback(self._guardian.close)
        self.folder = Path(tempfile.mkdtemp(prefix="bff-proof-"))
        self._guardian.watch_folder(self.folder)
        self._stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self.redis = EmbeddedRedis(first_source(), self._guardian)
        self._stack.callback(self.redis.stop)
        self.redis.start()
        self.provider = self._start("The provider", self._provider_command(), {})
        ready = self.provider.wait_ready(START_SECONDS)
        self.issuer: str = ready["issuer"]
        self._control_key: str = ready["control_key"]
        deny_list = self._api_settings()
        apis = [
            self._start(f"The API {one}", self._api_command(one), deny_list) for one in self.apis
        ]
        self.replicas = [self._replica(port) for port in self.ports]
        for api in apis:
            api.wait_ready(START_SECONDS)
        for url, replica in zip(self.urls, self.replicas, strict=True):
            self._await_ready(url, replica)

    def _start(self, name: str, command: list[str], settings: Mapping[str, str]) -> Child:
        child = Child(
            name,
            [sys.executable, "-m", *command],
            env=program_environment() | dict(settings),
            cwd=self.folder,
            guardian=self._guardian,
        )
        self._stack.callback(_end, child)
        child.start()
        return child

    def _provider_command(self) -> list[str]:
        client = {
            "client_id": CLIENT_ID,
            "client_secret": self.client_secret,
            "redirect_uris": [f"{self.base_url}/auth/callback"],
            "post_logout_redirect_uris": [f"{self.base_url}/auth/logged-out"],
            "backchannel_logout_uri": f"{self.urls[-1]}/auth/backchannel-logout",
            "resource_policies": {ORDERS: ["read:orders"]},
            "more_grant_types": [TOKEN_EXCHANGE],
        }
        users = [
            {"email": _email(n), "password": PASSWORD, "sub": f"auth0|proof-{n}", "name": f"No {n}"}
            for n in range(USERS)
        ]
        config = self.folder / "provider.json"
        settings = {
            "port": 0,
            "clients": [client],
            "users": users,
            "audiences": [AUDIENCE],
            "access_token_seconds": ACCESS_TOKEN_SECONDS,
        }
        config.write_text(json.dumps(settings))
        return ["demo.provider", "--config", str(config)]

    def _api_command(self, audience: str) -> list[str]:
        address = ["--host", LOOPBACK, "--port", str(self._api_ports[audience])]
        return ["demo.api", *address, "--issuer", self.issuer, "--audience", audience]

    def _routes_file(self) -> Path:
        """A route for each token mode in `ROUTES`."""
        file = self.folder / "routes.toml"
        if file.exists():
            return file  # A replica that starts may read it at this moment.
        file.write_text(
            "\n".join(
                f'[[route]]\nprefix = "{prefix}"\nupstream = "{self.apis[ORDERS]}"\n'
                f'token = "{mode}"\naudience = "{ORDERS}"\n'
                for mode, prefix in ROUTES.items()
            )
        )
        return file

    def _api_settings(self) -> dict[str, str]:
        key = self.command("deny-list-key").strip()
        return {"REDIS_URL": self.redis.url, "REDIS_PREFIX": "proof", "DENY_LIST_KEY": key}

    def _settings(self) -> dict[str, str]:
        return {
            "OIDC_ISSUER": self.issuer,
            "AUTH0_CLIENT_ID": CLIENT_ID,
            "AUTH0_CLIENT_SECRET": self.client_secret,
            "AUTH0_AUDIENCE": AUDIENCE,
            # The same for every replica, and after a restart.
            "AUTH0_SECRET": f"sealing {self.client_secret}",
            "APP_BASE_URL": self.base_url,
            "BFF_API_URL": self.api_url,
            "BFF_ROUTES_FILE": str(self._routes_file()),
            "BFF_REDIS_PREFIX": "proof",
            "BFF_PROVIDER_TIMEOUT_SECONDS": str(PROVIDER_TIMEOUT_SECONDS),
            "BFF_ADMIN_KEY": self.admin_key,
            "BFF_LOG_STREAM_KEY": self.log_stream_key,
            "BFF_INTROSPECTION_CLIENTS": f"proof:{self.introspection_secret}",
            "REDIS_URL": self.redis.url,
        } | self._more

    def _replica(self, port: int, **settings: str) -> Child:
        command = ["bff", "serve", "--port", str(port), "--grace-seconds", "2"]
        return self._start(f"The BFF on port {port}", command, self._settings() | settings)

    def _await_ready(self, url: str, replica: Child) -> None:
        end = time.monotonic() + START_SECONDS
        while not _is_ready(url):
            if not replica.running or time.monotonic() > end:
                raise replica.failure(f"wasn't ready within {START_SECONDS:g} s")
            time.sleep(POLL_SECONDS)

    # ------------------------------------------------------------ for the scenarios
    def browser(self) -> Browser:
        """A browser of a new user."""
        return self._browser(_email(next(self._users)))

    def another_browser(self, of: Browser) -> Browser:
        """One more browser of the same user."""
        return self._browser(of.email)

    def _browser(self, email: str) -> Browser:
        browser = Browser(self.urls, email, PASSWORD)
        self._stack.callback(browser.close)
        return browser

    def short_lived_replica(self, idle_seconds: int) -> str:
        """Start a replica whose sessions time out after *idle_seconds*; returns its address."""
        port = free_port(PORTS)
        url = f"http://localhost:{port}"
        self._extra = self._replica(port, BFF_SESSION_IDLE_SECONDS=str(idle_seconds))
        self._await_ready(url, self._extra)
        return url

    def drop_short_lived_replica(self) -> None:
        """Stop it after the sign-in."""
        if self._extra is not None:
            self._extra.kill()

    def restart_replica(self, number: int) -> None:
        """Start a replica that was killed."""
        self.replicas[number] = self._replica(self.ports[number])
        self._await_ready(self.urls[number], self.replicas[number])

    def control(self, method: str, path: str, **body: Any) -> Any:
        """Send a control request to the provider; see demo/provider/control.py."""
        options: dict[str, Any] = {"json": body} if method == "POST" else {}
        headers = {"X-Control-Key": self._control_key}
        response = send(method, f"{self.issuer}_control/{path}", headers=headers, **options)
        response.raise_for_status()
        return response.json() if response.content else None

    def issued(self) -> list[dict[str, Any]]:
        """Every token that the provider has issued, with its current state."""
        return list(self.control("GET", "tokens"))

    def command(self, *words: str) -> str:
        """Return the output of `python -m bff <words>` with the settings of a replica."""
        done = subprocess.run(
            [sys.executable, "-m", "bff", *words],
            env=program_environment() | self._settings(),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
        )
        return done.stdout


def _email(number: int) -> str:
    return f"user{number}@example.com"


def _end(child: Child) -> None:
    if child.started:
        # A suspended process wouldn't handle SIGTERM.
        with suppress(ChildFailed):
            child.resume()
        child.stop()


def _is_ready(url: str) -> bool:
    try:
        return send("GET", f"{url}/readyz", timeout=5).status_code == 200
    except requests.RequestException:
        return False
