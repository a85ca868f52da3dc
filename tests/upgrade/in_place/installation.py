"""How does a test run two versions over the same Redis, provider, APIs and settings?

    with TwoVersions([earlier, ROOT]) as installation:     a rolling deployment
    with TwoVersions([earlier]) as installation:
        installation.switch_to(ROOT)                       an upgrade in place

A version is the folder of its source; each replica is started there.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests

from tests.support.api_callers import ASKING
from tests.support.browser_client import BrowserClient
from tests.support.cluster import PASSWORD, TIMEOUT_SECONDS
from tests.support.gateway import ROUTES, Gateway
from tests.support.processes import Process
from tests.support.provider_form import sign_in_at_provider
from tests.support.scale import cache_environment
from tests.support.waiting import wait_for

ADMIN_KEY = "an-admin-key-for-the-tests-0123456789"
USERS = ("anna", "ben", "cleo", "dan", "eva", "finn")
PATHS = ("/api/items", "/api/orders/whoami", "/api/reports/whoami", "/api/stock/whoami")
"""One for each token mode with a token: user, audience, exchange, client."""
CODE_SECONDS = 600
"""Longer than one version takes to stop and the other to start."""


def email_of(user: str) -> str:
    return f"{user}@example.com"


def subject_of(user: str) -> str:
    return f"auth0|{user}"


class TwoVersions(Gateway):
    """An installation whose replicas run the code of different source trees.

    Args:
        trees: The source tree of each replica.
        lease_milliseconds: For the session cache; None for the setting of the test's module.
    """

    def __init__(self, trees: Sequence[Path], *, lease_milliseconds: str | None = None) -> None:
        super().__init__(
            len(trees),
            routes=tuple(one for one in ROUTES if one.get("token") not in ("optional", "none")),
            provider={
                # A refresh token that is spent twice is noticed at once.
                "overlap_seconds": 0,
                "authorization_code_seconds": CODE_SECONDS,
                "users": [
                    {"email": email_of(u), "password": PASSWORD, "sub": subject_of(u), "name": u}
                    for u in USERS
                ],
            },
            env={"BFF_ADMIN_KEY": ADMIN_KEY} | ASKING | cache_environment(lease_milliseconds),
        )
        self._trees = dict(zip(self.ports, trees, strict=True))

    def __enter__(self) -> TwoVersions:
        super().__enter__()
        return self

    def source_tree(self, port: int) -> Path:
        return self._trees[port]

    # ------------------------------------------------------------ which version runs
    def switch_to(self, tree: Path) -> None:
        """Stop the only replica, and start that of *tree* on its port."""
        [port] = self.ports
        self.replicas[0].stop()
        self._trees[port] = tree
        self._start_again(0)

    @contextmanager
    def without(self, replica: int) -> Iterator[None]:
        """Stop one replica, and start it again at the end of the block."""
        self.replicas[replica].stop()
        try:
            yield
        finally:
            self._start_again(replica)

    def _start_again(self, replica: int) -> None:
        self.replicas[replica] = self.start_replica(self.ports[replica])

    def start_api_of(self, tree: Path) -> str:
        """Start the demo API with the `TokenGuard` of *tree*; returns its address."""
        module = "bff.demo.api" if (tree / "bff/demo/api").is_dir() else "demo.api"
        asks = ["--issuer", self.issuer, "--audience", self.routes[0]["to"]]
        command = [sys.executable, "-m", module, "--port", "0", *asks]
        env = {"PATH": "/usr/bin:/bin"} | self.api_environment()
        api = self._stack.enter_context(Process(command, name="earlier api", env=env, cwd=tree))
        return f"http://127.0.0.1:{api.wait_ready(TIMEOUT_SECONDS)['port']}"

    # ------------------------------------------------------------ what users and admins do
    def browser_of(self, user: str) -> BrowserClient:
        """A new browser in which *user* will sign in."""
        urls = [self.url(i) for i in range(len(self.ports))]
        browser = BrowserClient(urls, email_of(user), PASSWORD)
        self._stack.callback(browser.close)
        return browser

    def at_provider(self, browser: BrowserClient, user: str, *, replica: int = 0) -> str:
        """Begin a sign-in at *replica* and authenticate; returns the callback's address."""
        url = browser.authorize_url(replica=replica)
        return sign_in_at_provider(browser.at_provider, url, email_of(user), PASSWORD)

    def end_all(self, user: str, *, replica: int = 0) -> int:
        """End all sessions of *user* by the admin API; returns how many there were."""
        response = requests.post(
            f"{self.url(replica)}/admin/sessions/end",
            json={"sub": subject_of(user)},
            headers={"Authorization": f"Bearer {ADMIN_KEY}"},
            timeout=TIMEOUT_SECONDS,
        )
        assert response.status_code == 200, response.text
        return int(response.json()["ended"])

    # ------------------------------------------------------------ the outbox and the provider
    def let_revocations_fail(self) -> None:
        """From now on the provider responds to revocations with 503."""
        self.control("POST", "faults", endpoint="revoke", do="status", status=503, times=10_000)

    def let_revocations_work(self) -> None:
        """End the outage of the provider's revocation endpoint."""
        self.control("DELETE", "faults")

    def wait_for_empty_outbox(self) -> None:
        """Wait until the provider has confirmed every revocation."""
        wait_for(lambda: not self.keys("{outbox}:entry"), "every revocation confirmed", 30)

    def revocations(self, tree: Path) -> list[dict[str, Any]]:
        """What `python -m bff revocations` of *tree* lists."""
        told = subprocess.run(
            [sys.executable, "-m", "bff", "revocations", "--json"],
            env=self.environment(),
            cwd=tree,
            capture_output=True,
            text=True,
            check=True,
        )
        return list(json.loads(told.stdout)["waiting"])

    def state_of(self, refresh_token: str) -> str:
        """The state of a refresh token at the provider: active, rotated or revoked."""
        [found] = [t for t in self.issued("refresh_token") if t["value"] == refresh_token]
        return str(found["state"])


def assert_sent_back_to_authenticate(response: requests.Response) -> None:
    """The callback refused the earlier authentication and requests a new one."""
    assert response.status_code == 302, response.text
    assert parse_qs(urlsplit(response.headers["Location"]).query)["max_age"] == ["0"]
