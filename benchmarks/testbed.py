"""What do all contestants share? A Redis, a provider, an upstream, and a temporary folder."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from benchmarks.programs import OTHER_CORE, READY_SECONDS, Pinned, find
from demo.program_group import ProgramGroup
from tests.support.nginx import installed
from tests.support.processes import free_port

HERE = Path(__file__).parent
AUDIENCE = "https://api.example.com"
SCOPE = "openid profile email offline_access"
SIZES = {"1k": 1024, "1m": 1024 * 1024}
"""The sizes of the upstream's responses in bytes, by path segment."""


class Testbed(ProgramGroup):
    """Use it as a context manager; its programs end with the block."""

    folder: Path
    redis_port: int
    upstream: str
    """Serves `/1k` and `/1m` to requests with any token, and shows in `/seen` what it received."""
    checking_upstream: str
    """Serves any path, but refuses an expired token; see `node/api.mjs`."""

    def _start_all(self) -> None:
        self.folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory("-bench")))
        # The workers of Apache and nginx run as other users.
        self.folder.chmod(0o755)
        self.redis_port = self._start_redis()
        self.upstream = self._start_upstream()
        self.checking_upstream = self._start_checking_upstream()

    @contextmanager
    def phase(self) -> Iterator[None]:
        """Programs that are started within the `with` block end with it."""
        before, self._stack = self._stack, ExitStack()
        try:
            with self._stack:
                yield
        finally:
            self._stack = before

    @property
    def redis_url(self) -> str:
        """The Redis of the contestants."""
        return f"redis://127.0.0.1:{self.redis_port}/0"

    def subfolder(self, name: str) -> Path:
        """A new folder for one program."""
        number = len(list(self.folder.iterdir()))
        folder = self.folder / f"{number}-{name}"
        folder.mkdir()
        return folder

    def run(self, program: Pinned) -> Pinned:
        """Start *program*; it ends with the testbed."""
        self._stack.enter_context(program)
        return program

    def start_provider(
        self, clients: list[dict[str, Any]], access_token_seconds: int
    ) -> BenchProvider:
        """Start an oidc-provider with *clients*."""
        folder = self.subfolder("provider")
        settings = {
            "clients": clients,
            "audience": AUDIENCE,
            "access_token_seconds": access_token_seconds,
        }
        (folder / "provider.json").write_text(json.dumps(settings))
        command = [find("node"), str(HERE / "node/provider.mjs"), str(folder / "provider.json")]
        program = self.run(
            Pinned(
                "oidc-provider", command, core=OTHER_CORE, folder=folder,
                env={"NODE_ENV": "production"},
            )
        )  # fmt: skip
        return BenchProvider(program.wait_ready(READY_SECONDS)["issuer"])

    def _start_redis(self) -> int:
        folder, port = self.subfolder("redis"), free_port()
        command = [
            find("redis-server"), "--bind", "127.0.0.1", "--port", str(port), "--save", "",
            "--appendonly", "yes", "--maxmemory-policy", "noeviction", "--tcp-backlog", "511",
        ]  # fmt: skip
        program = self.run(Pinned("Redis", command, core=OTHER_CORE, folder=folder))
        program.wait_for_port(port)
        return port

    def _start_upstream(self) -> str:
        folder, port = self.subfolder("upstream"), free_port()
        for name, size in SIZES.items():
            (folder / name).write_text(_json_of(size))
        text = UPSTREAM.format(folder=folder, port=port)
        self.run(nginx("upstream", text, folder, core=OTHER_CORE)).wait_for_port(port)
        return f"http://127.0.0.1:{port}"

    def _start_checking_upstream(self) -> str:
        folder = self.subfolder("api")
        command = [find("node"), str(HERE / "node/api.mjs")]
        program = self.run(Pinned("api", command, core=OTHER_CORE, folder=folder))
        return f"http://127.0.0.1:{program.wait_ready(READY_SECONDS)['port']}"


@dataclass(frozen=True)
class BenchProvider:
    """An oidc-provider of the benchmark; see `node/provider.mjs`."""

    issuer: str

    def control(self, path: str) -> Any:
        """Send a control request (`revocation-down`, …).

        `refresh-tokens` lists all that it has issued; `counts` are the requests since the last
        `counts`.
        """
        return requests.get(f"{self.issuer}/_control/{path}", timeout=READY_SECONDS).json()


def nginx(name: str, configuration: str, folder: Path, *, core: int) -> Pinned:
    """An nginx in the foreground with all its files in *folder*."""
    file = folder / "nginx.conf"
    file.write_text(configuration)
    more = f"daemon off; pid {folder}/pid;"
    command = [str(installed()), "-p", str(folder), "-e", "stderr", "-c", str(file), "-g", more]
    return Pinned(name, command, core=core, folder=folder)


def _json_of(size_bytes: int) -> str:
    """A JSON document of exactly *size_bytes*."""
    item = json.dumps({"id": 1, "name": "An item of the list", "price": 12.5, "tags": ["a", "b"]})
    items = "[" + ",".join([item] * (size_bytes // (len(item) + 1) - 1))
    return items + " " * (size_bytes - len(items) - 1) + "]"


UPSTREAM = """
worker_processes 1;
error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_timeout 600s;
    keepalive_requests 1000000000;
    open_file_cache max=16;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    map $http_authorization $refused {{ default 1; "~^Bearer [-_.A-Za-z0-9]+$" ""; }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        default_type application/json;
        if ($refused) {{ return 401; }}
        location = /seen {{
            set $others '"cookie":"$http_cookie","via":"$http_via"';
            return 200 '{{"authorization":"$http_authorization",$others}}';
        }}
        location / {{ root {folder}; }}
    }}
}}
"""
