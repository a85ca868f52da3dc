"""How does a test start what compose.yaml describes, on this machine instead of in containers?

The commands, settings, secret files and configuration are those of the compose file, read by the
library that `docker compose` uses. Different are addresses, ports and what a container would mount.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import pytest
import requests

from tests.charts.tools import composed
from tests.support.browser_client import BrowserClient
from tests.support.cluster import (
    AUDIENCE,
    CLIENT_ID,
    CLIENT_SECRET,
    EMAIL,
    PASSWORD,
    ROOT,
    Cluster,
)
from tests.support.nginx import installed
from tests.support.processes import Process, free_port
from tests.support.redis_server import real_source
from tests.support.waiting import wait_for

PATH = "/usr/bin:/bin:/usr/sbin:/sbin"


class Composition(Cluster):
    """Redis, BFF and nginx of compose.yaml, with our provider and API."""

    def __init__(self) -> None:
        super().__init__(1, api_asks=False)
        self.folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        self.http, self.https, self.redis_port = free_port(), free_port(), free_port()
        self.base_url = f"https://localhost:{self.https}"
        self.processes: dict[str, Process] = {}

    def _start_all(self) -> None:
        self._start_provider()
        self.api_url = self._start_api()
        for name in ("deploy", "demo"):
            (self.folder / name).symlink_to(ROOT / name)
        settings = {
            "OIDC_ISSUER": self.issuer, "AUTH0_CLIENT_ID": CLIENT_ID, "AUTH0_AUDIENCE": AUDIENCE,
            "APP_BASE_URL": self.base_url, "BFF_API_URL": self.api_url, "AUTH0_SECRET": "",
        }  # fmt: skip
        (self.folder / ".env").write_text("".join(f"{n}={v}\n" for n, v in settings.items()))
        self._make_secrets()
        model = composed(self.folder, ".env", "compose.yaml")
        self.services, self.secret_files = model["services"], model["secrets"]
        self._start_redis()
        self._start_bff()
        self._start_nginx()

    def _make_secrets(self) -> None:
        script = ROOT / "deploy/compose/make-secrets.sh"
        subprocess.run(["sh", script], cwd=self.folder, input=CLIENT_SECRET, text=True, check=True)
        self.secrets = self.folder / "secrets"
        url = self.secrets / "redis-url"
        there = url.read_text().replace("@redis:6379", f"@127.0.0.1:{self.redis_port}")
        url.unlink()
        url.write_text(there)
        patch = self._stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("REQUESTS_CA_BUNDLE", str(self.secrets / "tls.crt"))

    # ------------------------------------------------------------ the services
    def mounted(self, service: str) -> dict[str, Path]:
        """What the container would see where, by its path."""
        described = self.services[service]
        granted = self.folder / f"run-{service}"
        granted.mkdir(exist_ok=True)
        for one in described["secrets"]:
            link = granted / one["source"]
            if not link.exists():
                link.symlink_to(self.secret_files[one["source"]]["file"])
        places = {"/run/secrets": granted}
        for volume in described.get("volumes", []):
            places[volume["target"]] = (
                Path(volume["source"]) if volume["type"] == "bind" else self.folder / "volume"
            )
        (self.folder / "volume").mkdir(exist_ok=True)
        return places

    def here(self, service: str, text: str) -> str:
        """*text* of the compose file, with paths and addresses of this machine."""
        replaced = {name: str(path) for name, path in self.mounted(service).items()} | {
            "172.28.213.2:8000": f"127.0.0.1:{self.ports[0]}",
            "127.0.0.1:8000": f"127.0.0.1:{self.ports[0]}",
            "127.0.0.1:8080": f"127.0.0.1:{self.http}",
            "172.28.213.3": "127.0.0.1",
            "redis-cli": f"redis-cli -p {self.redis_port}",
        }
        for written, real in replaced.items():
            text = text.replace(written, real)
        return text

    def environment_of(self, service: str) -> dict[str, str]:
        """The whole environment of a service."""
        given = self.services[service]["environment"]
        return {name: self.here(service, value) for name, value in given.items()} | {"PATH": PATH}

    def _start(self, name: str, command: list[str], env: dict[str, str]) -> Process:
        process = Process(command, name=name, env=env, cwd=self.folder / "volume")
        self.processes[name] = self._stack.enter_context(process)
        return process

    def arguments(self, service: str) -> list[str]:
        """The command of the compose file."""
        return [self.here(service, one) for one in self.services[service]["command"]]

    def _start_redis(self) -> None:
        command = [*real_source().command, *self.arguments("redis"), "--port"]
        env = {"PATH": PATH}
        started = self._start("redis", [*command, str(self.redis_port), "--bind", "127.0.0.1"], env)
        started.wait_for_port(self.redis_port)

    def _start_bff(self) -> None:
        arguments = self.arguments("bff")
        arguments[arguments.index("--host") + 1] = "127.0.0.1"
        arguments[arguments.index("--port") + 1] = str(self.ports[0])
        env = self.environment_of("bff") | {"PYTHONPATH": str(ROOT)}
        started = self._start("bff", [str(ROOT / ".venv/bin/python"), "-m", "bff", *arguments], env)
        started.wait_for_http(f"http://127.0.0.1:{self.ports[0]}/readyz")

    def _start_nginx(self) -> None:
        entrypoint = [self.here("nginx", one) for one in self.services["nginx"]["entrypoint"]]
        env = self.environment_of("nginx") | {
            "PATH": f"{installed().parent}:{PATH}",
            "CONFIGURATION": str(self.folder / "nginx"),
            "SECRETS": str(self.folder / "run-nginx"),
            "HTTP_LISTEN": f"127.0.0.1:{self.http}",
            "HTTPS_LISTEN": f"127.0.0.1:{self.https}",
        }
        self._start("nginx", entrypoint, env).wait_for_port(self.https)
        wait_for(lambda: self.ask("/healthz").status_code == 200, "nginx to serve")

    # ------------------------------------------------------------ what tests do with them
    def ask(self, path: str) -> requests.Response:
        """A request of nobody, through nginx."""
        return requests.get(f"{self.base_url}{path}", allow_redirects=False, timeout=10)

    def browser(self) -> BrowserClient:
        """A new browser, which comes through nginx."""
        browser = BrowserClient([self.base_url], EMAIL, PASSWORD)
        browser.here.verify = str(self.secrets / "tls.crt")
        self._stack.callback(browser.close)
        return browser

    def health(self, service: str) -> int:
        """The exit code of the service's health check."""
        kind, *command = self.services[service]["healthcheck"]["test"]
        # Podman and Docker differ in what a text for a shell is.
        assert kind == "CMD"
        env = {"PATH": f"{ROOT}/.venv/bin:{PATH}"}
        command = [self.here(service, one) for one in command]
        return subprocess.run(command, env=env, capture_output=True).returncode
