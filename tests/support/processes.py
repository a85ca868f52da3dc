"""How does a test start a program, wait for it, suspend it, and stop it?

Tests stop the programs that they start. If pytest itself is killed, the guardian stops them.
"""

from __future__ import annotations

import atexit
import functools
import http.client
import os
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from demo.child import Child, ChildFailed
from demo.guardian import Guardian
from demo.redis.embedded import free_port as port_among

POLL_SECONDS = 0.02

__all__ = ["ChildFailed", "Process", "free_port", "guardian"]


@functools.cache
def guardian() -> Guardian:
    """The one guardian of this test run."""
    started = Guardian()
    atexit.register(started.close)
    return started


def free_port() -> int:
    """A free port; prefer port 0 for a program that prints its port.

    It is below the ports of the demo, and the workers of a test run choose from different ports,
    so that no other program gets it before this one listens.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    return port_among(range(10_000 + worker, 20_000, workers))


class Process(Child):
    """A program under test. As a context manager it starts at entry, unless it was started before,
    and stops at exit.

    From `Child`: `start`, `wait_ready` (the JSON ready line), `output`, `running`, `pid`,
    `stop` (SIGTERM, then SIGKILL), `kill` (SIGKILL), `pause` (SIGSTOP), `resume` (SIGCONT); all but
    `stop` also reach its children.
    """

    def __init__(
        self,
        command: list[str],
        *,
        name: str | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        """Prepare *command*; *env* is its whole environment, *cwd* its folder; None: as here."""
        name = name or " ".join(command[-3:])
        super().__init__(name, command, env=env, cwd=cwd, guardian=guardian())

    def __enter__(self) -> Self:
        if not self.started:
            self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def wait_for_port(
        self, port: int, host: str = "127.0.0.1", timeout_seconds: float = 20.0
    ) -> None:
        """Wait until the port accepts connections.

        Raises:
            ChildFailed: The program ended first, or the wait timed out.
        """
        self._wait_until(lambda: _listens(host, port), f"{host}:{port}", timeout_seconds)

    def wait_for_http(self, url: str, status: int = 200, timeout_seconds: float = 20.0) -> None:
        """Wait until a GET of *url* (http only) responds with *status*.

        Raises:
            ChildFailed: The program ended first, or the wait timed out.
        """
        self._wait_until(lambda: _status(url) == status, f"{url} with {status}", timeout_seconds)

    def wait_for_output(self, text: str, timeout_seconds: float = 20.0) -> None:
        """Wait until it has printed *text*.

        Raises:
            ChildFailed: The program ended first, or the wait timed out.
        """
        self._wait_until(lambda: text in self.output, f"with {text!r}", timeout_seconds)

    def _wait_until(self, check: Callable[[], bool], what: str, limit: float) -> None:
        end = time.monotonic() + limit
        while not check():
            if not self.running or time.monotonic() > end:
                raise self.failure(f"doesn't respond at {what} within {limit:g} s")
            time.sleep(POLL_SECONDS)


def _listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), 1.0).close()
    except OSError:
        return False
    return True


def _status(url: str) -> int | None:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=5.0)
    try:
        connection.request("GET", parts.path or "/")
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
