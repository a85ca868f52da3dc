"""What does `python -m demo` start? A Redis, a provider, an API and the BFF.

Ports that are in use are reported before anything starts. Each program is a separate process,
started as in production: the BFF knows nothing of the demo but its settings.
"""

from __future__ import annotations

import errno
import http.client
import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from demo.child import Child, ChildFailed
from demo.options import Options, parse
from demo.redis.embedded import EmbeddedRedis, NoRedis, first_source
from demo.supervisor import StopRequested, Supervisor

DEMO_FOLDER = Path(__file__).resolve().parent
AUDIENCE = "https://demo-api"
CLIENT_ID = "demo-client"
LOOPBACK = "127.0.0.1"
START_SECONDS = 60.0
BFF_GRACE_SECONDS = 2
FAILED = 1
SETTING_PREFIXES = ("BFF_", "AUTH0_", "OIDC_", "APP_BASE_URL", "REDIS_URL")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo until Ctrl-C.

    Returns:
        0 after a stop by signal; 1 if a port is in use, a Redis is missing or a program ended.
    """
    options = parse(arguments)
    began = time.monotonic()
    problems = port_problems(options)
    if problems:
        print("\n".join(problems), file=sys.stderr)
        return FAILED
    try:
        with Supervisor() as supervisor:
            Demo(options, supervisor).run(began)
    except StopRequested:
        print("Stopped. Nothing is left running.", flush=True)
        return 0
    except (ChildFailed, NoRedis) as error:
        print(error, file=sys.stderr)
        return FAILED


class Demo:
    """The four programs and their settings."""

    def __init__(self, options: Options, supervisor: Supervisor) -> None:
        """Prepare the demo without starting anything."""
        self.options = options
        self.base_url = f"http://localhost:{options.port}"
        self.issuer = f"http://{LOOPBACK}:{options.provider_port}/"
        self._supervisor = supervisor
        self._client_secret = secrets.token_urlsafe(32)
        # Random, so that the keys of this run can be removed from the user's own Redis.
        self._prefix = f"demo-{secrets.token_hex(4)}"

    def run(self, began: float) -> NoReturn:
        """Start everything, print the addresses, and wait.

        Raises:
            NoRedis: None was found, or the given one doesn't respond.
            ChildFailed: A program ended by itself, or wasn't ready in time.
            StopRequested: A stop signal arrived.
        """
        # They stop in reverse order: the BFF first, since it may have tokens to revoke.
        redis_url, redis_description = self._start_redis()
        provider = self._start("The provider", self._provider_command(), {})
        settings = self._settings(redis_url)
        api = self._start("The API", self._api_command(), self._api_settings(settings))
        bff = self._start("The BFF", self._bff_command(), settings)
        self._supervisor.wait_until(lambda: provider.ready, provider, START_SECONDS)
        self._supervisor.wait_until(lambda: api.ready, api, START_SECONDS)
        self._supervisor.wait_until(self._is_ready, bff, START_SECONDS)
        self._announce(redis_description, time.monotonic() - began)
        self._supervisor.wait()

    def _start_redis(self) -> tuple[str, str]:
        given = self.options.redis_url
        if given:
            # Imported here: it is slow to load, and only this option needs a Redis client.
            from demo.redis import external

            description = external.check(given)
            self._supervisor.on_exit(lambda: external.remove(given, self._prefix))
            return given, description
        server = EmbeddedRedis(first_source(), self._supervisor.guardian)
        self._supervisor.on_exit(server.stop)
        server.start()
        self._supervisor.watch(server.child)
        return server.url, f"{server.source.description}, on port {server.port}"

    def _start(self, name: str, command: list[str], settings: dict[str, str]) -> Child:
        child = Child(
            name,
            [sys.executable, "-m", *command],
            env=program_environment() | settings,
            # A .env file in the user's working directory must not change the demo.
            cwd=self._supervisor.folder,
            guardian=self._supervisor.guardian,
            echo=_printer(name) if self.options.verbose else None,
        )
        self._supervisor.start(child)
        return child

    def _provider_command(self) -> list[str]:
        # In a file, since every user of the machine can read a command line.
        config = self._supervisor.folder / "provider.json"
        config.write_text(json.dumps(self._provider_settings()))
        return ["demo.provider", "--config", str(config)]

    def _provider_settings(self) -> dict[str, object]:
        client = {
            "client_id": CLIENT_ID,
            "client_secret": self._client_secret,
            "redirect_uris": [f"{self.base_url}/auth/callback"],
            "post_logout_redirect_uris": [f"{self.base_url}/auth/logged-out"],
            "backchannel_logout_uri": f"{self.base_url}/auth/backchannel-logout",
        }
        return {
            "host": LOOPBACK,
            "port": self.options.provider_port,
            "clients": [client],
            "audiences": [AUDIENCE],
            "access_token_seconds": self.options.access_token_seconds,
            "overlap_seconds": self.options.overlap_seconds,
        }

    def _api_command(self) -> list[str]:
        address = ["--host", LOOPBACK, "--port", str(self.options.api_port)]
        return ["demo.api", *address, "--issuer", self.issuer, "--audience", AUDIENCE]

    def _api_settings(self, settings: dict[str, str]) -> dict[str, str]:
        """The settings of the deny-list, so that the API refuses a copied token after a logout."""
        output = subprocess.run(
            [sys.executable, "-m", "bff", "deny-list-key"],
            env=program_environment() | settings,
            cwd=self._supervisor.folder,
            capture_output=True,
            text=True,
        )
        if output.returncode != 0:
            raise ChildFailed(f"The deny-list key can't be read:\n{output.stderr}")
        return {
            "REDIS_URL": settings["REDIS_URL"],
            "REDIS_PREFIX": self._prefix,
            "DENY_LIST_KEY": output.stdout.strip(),
        }

    def _bff_command(self) -> list[str]:
        address = ["--host", LOOPBACK, "--port", str(self.options.port)]
        workers = ["--workers", str(self.options.workers)]
        return ["bff", "serve", *address, *workers, "--grace-seconds", str(BFF_GRACE_SECONDS)]

    def _settings(self, redis_url: str) -> dict[str, str]:
        """The settings of the BFF, as in production."""
        return {
            # The user's own Redis may be made for anything; its data is the demo's.
            "BFF_REDIS_MAY_LOSE_DATA": "true" if self.options.redis_url else "false",
            "OIDC_ISSUER": self.issuer,
            "AUTH0_CLIENT_ID": CLIENT_ID,
            "AUTH0_CLIENT_SECRET": self._client_secret,
            "AUTH0_AUDIENCE": AUDIENCE,
            "AUTH0_SECRET": secrets.token_hex(32),
            "APP_BASE_URL": self.base_url,
            "BFF_API_URL": f"http://{LOOPBACK}:{self.options.api_port}",
            "BFF_SPA_DIR": str(self.options.spa_dir),
            "BFF_SESSION_IDLE_SECONDS": str(self.options.idle_seconds),
            "BFF_REDIS_PREFIX": self._prefix,
            "REDIS_URL": redis_url,
        }

    def _is_ready(self) -> bool:
        connection = http.client.HTTPConnection(LOOPBACK, self.options.port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _announce(self, redis_description: str, took_seconds: float) -> None:
        print(
            f"Ready after {took_seconds:.1f} s.\n\n"
            f"  Open      {self.base_url}\n"
            f"  Sign in   demo@example.com, password: demo\n\n"
            f"  Provider  {self.issuer}\n"
            f"  API       http://{LOOPBACK}:{self.options.api_port}/ (reached through /api)\n"
            f"  Redis     {redis_description}\n\n"
            "Ctrl-C stops everything.",
            flush=True,
        )


def port_problems(options: Options) -> list[str]:
    """Return one line for each port that the demo can't use."""
    wanted = [
        ("--port", options.port, "the BFF", (LOOPBACK, "::1")),
        ("--provider-port", options.provider_port, "the provider", (LOOPBACK,)),
        ("--api-port", options.api_port, "the API", (LOOPBACK,)),
    ]
    problems = []
    for index, (option, port, program, hosts) in enumerate(wanted):
        if any(port == other for _, other, _, _ in wanted[:index]):
            problems.append(f"Port {port} is asked for twice; choose another with {option}.")
        elif any(_taken(host, port) for host in hosts):
            problems.append(
                f"Port {port}, meant for {program}, is in use; choose another with {option}."
            )
    return problems


def _taken(host: str, port: int) -> bool:
    # A browser tries ::1 for "localhost" first, so another server there would get its requests.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except PermissionError:
        return True
    except OSError as error:
        # Without IPv6 on this machine nothing can listen there.
        return error.errno == errno.EADDRINUSE
    return False


def program_environment() -> dict[str, str]:
    """The environment of a program: without the user's BFF settings, with this code on the path."""
    variables = {k: v for k, v in os.environ.items() if not k.startswith(SETTING_PREFIXES)}
    variables["PYTHONPATH"] = str(DEMO_FOLDER.parent)
    # All programs are on this machine, so the user's proxy is bypassed.
    variables["NO_PROXY"] = variables["no_proxy"] = "localhost,127.0.0.1,::1"
    return variables


def _printer(name: str) -> Callable[[str], None]:
    return lambda line: print(f"[{name}] {line}", flush=True)
