"""How does a test get a running Keycloak, and a realm of its own in it?

`.ci/keycloak` has put it into `.work`. It takes half a minute to start, so one is started for all
tests. A realm is made from `deploy/keycloak/realm.json` by the admin API, for the addresses of one
installation.
"""

from __future__ import annotations

import json
import os
import secrets
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import pytest
import requests

from tests.support.processes import Process, free_port

HERE = Path(__file__).parent
INSTALLED = HERE.parent.parent / ".work/keycloak"
REALM_FILE = HERE.parent.parent / "deploy/keycloak/realm.json"
BASE_URL = "${APP_BASE_URL}"
"""In the realm file; Keycloak's own import takes it from its environment."""

START_SECONDS = 180
TIMEOUT_SECONDS = 30
ADMIN_TOKEN_SECONDS = 30
"""Keycloak's own are valid for 60."""


class Keycloak(ExitStack):
    """One Keycloak with an empty database in files, which a restart keeps."""

    def __enter__(self) -> Self:
        super().__enter__()
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._password = secrets.token_urlsafe(16)
        self._admin_token = ("", 0.0)
        self._folder = self.enter_context(tempfile.TemporaryDirectory())
        self.process = self.enter_context(self._prepared())
        self.wait()
        return self

    def _prepared(self) -> Process:
        command = [
            str(_home() / "bin/kc.sh"), "start", "--optimized",
            "--http-enabled=true", "--http-host=127.0.0.1", f"--http-port={self.port}",
            f"--hostname={self.url}",
            f"--db-url=jdbc:h2:file:{self._folder}/db;NON_KEYWORDS=VALUE;DB_CLOSE_ON_EXIT=FALSE",
        ]  # fmt: skip
        return Process(command, name="keycloak", env=self.environment())

    def environment(self) -> dict[str, str]:
        """Its variables."""
        kept = ("PATH", "JAVA_HOME", "HOME")
        return {name: os.environ[name] for name in kept if name in os.environ} | {
            "KC_BOOTSTRAP_ADMIN_USERNAME": "admin",
            "KC_BOOTSTRAP_ADMIN_PASSWORD": self._password,
            "JAVA_OPTS_KC_HEAP": "-Xms64m -Xmx512m",
        }

    def wait(self) -> None:
        """Wait until it responds."""
        self.process.wait_for_http(f"{self.url}/realms/master", timeout_seconds=START_SECONDS)

    def stop(self) -> None:
        """Stop it; connections are refused from now on."""
        self.process.stop(grace_seconds=60)

    def start_again(self) -> None:
        """Start the stopped one on the same port with its data."""
        self.process.start()
        self.wait()

    def admin(self, method: str, path: str, body: Any = None) -> Any:
        """Send a request of the administrator; what it returns, None without a body."""
        response = requests.request(
            method,
            f"{self.url}/admin/realms{path}",
            json=body,
            headers={"Authorization": f"Bearer {self._token()}"},
            timeout=TIMEOUT_SECONDS,
        )
        assert response.ok, f"{method} {path}: {response.status_code} {response.text}"
        return response.json() if response.content else None

    def _token(self) -> str:
        token, ends_at = self._admin_token
        if time.monotonic() > ends_at:
            asked = {"grant_type": "password", "client_id": "admin-cli", "username": "admin"}
            response = requests.post(
                f"{self.url}/realms/master/protocol/openid-connect/token",
                data=asked | {"password": self._password},
                timeout=TIMEOUT_SECONDS,
            )
            token = response.json()["access_token"]
            self._admin_token = (token, time.monotonic() + ADMIN_TOKEN_SECONDS)
        return token

    def create_realm(self, base_url: str) -> str:
        """Make a realm from the realm file, for the BFF at *base_url*; returns its name."""
        realm = json.loads(REALM_FILE.read_text().replace(BASE_URL, base_url))
        realm["realm"] = f"bff-{secrets.token_hex(4)}"
        self.admin("POST", "", realm)
        return str(realm["realm"])


def _home() -> Path:
    """The folder of the one version that `.ci/keycloak` names."""
    found = [stamp.parent for stamp in INSTALLED.glob("*/.prepared")]
    if not found:
        pytest.fail("Keycloak is not in .work/keycloak; run `make interop-keycloak`.")
    return max(found, key=lambda home: (home / ".prepared").stat().st_mtime)
