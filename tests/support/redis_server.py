"""What is the real Redis of the tests, and how is it stopped, restarted and paused?

Tests share one server for speed, so every test takes a key prefix of its own (`redis_prefix`) and
never flushes. A test that stops or pauses the server starts one for itself:

    with RedisServer() as server: ...
"""

from __future__ import annotations

import functools
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import pytest
import redis

from demo.redis.embedded import EmbeddedRedis, NoRedis, Source, first_source
from tests.support.processes import guardian

ADVICE = "No Redis with TLS was found. Install one (Debian: apt-get install redis-server)."


@functools.cache
def real_source() -> Source:
    """The Redis or Valkey of this machine, or that of a wheel; never the emulation."""
    return first_source(accept=lambda source: source.real)


@functools.cache
def tls_source() -> Source:
    """One that speaks TLS, which those of the wheels don't; raises NoRedis if there is none."""
    try:
        return first_source(accept=_speaks_tls)
    except NoRedis as error:
        raise NoRedis(ADVICE) from error


def _speaks_tls(source: Source) -> bool:
    # It reads its settings in order, and ends at the first that it can't take.
    command = [*source.command, "--tls-port", "0", "--no-such-setting", "0"]
    told = subprocess.run(command, capture_output=True, text=True, timeout=10)
    return source.real and "no-such-setting" in told.stdout + told.stderr


class RedisServer:
    """A Redis with an append-only file, so that a restart loses nothing."""

    def __init__(self) -> None:
        self._server = EmbeddedRedis(real_source(), guardian())

    def __enter__(self) -> RedisServer:
        self._server.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.stop()

    @property
    def url(self) -> str:
        """For `REDIS_URL`; stays the same over a restart."""
        return self._server.url

    @property
    def port(self) -> int:
        """Stays the same over a restart."""
        return self._server.port

    @property
    def pid(self) -> int:
        """The process id of the server as it runs now."""
        return self._server.child.pid

    @property
    def folder(self) -> Path | None:
        """Where its files are; None if it doesn't run."""
        return self._server.folder

    def client(self) -> redis.Redis:
        """A new client; close it, or use it as a context manager."""
        return redis.Redis.from_url(self.url, protocol=3)

    def stop(self) -> None:
        """Stop the server and keep its data; connections are refused from now on."""
        self._server.child.stop()

    def kill(self) -> None:
        """The same with SIGKILL."""
        self._server.child.kill()

    def start_again(self) -> None:
        """Start the stopped server with its data; returns when it answers."""
        self._server.start_again()

    def restart(self) -> None:
        """Stop and start."""
        self.stop()
        self.start_again()

    def pause(self) -> None:
        """From now on it takes connections and answers nothing (SIGSTOP)."""
        self._server.child.pause()

    def resume(self) -> None:
        """Let it go on."""
        self._server.child.resume()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """The server that the tests share. Don't stop or pause it."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def redis_prefix() -> str:
    """A key prefix that no other test has."""
    return f"test-{secrets.token_hex(6)}"


def main() -> int:
    """Say which Redis with TLS would be used (`python -m tests.support.redis_server`), or 1."""
    try:
        print(f"Redis with TLS: {tls_source().description}")
    except NoRedis as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
