"""Which Redis do the tests use, and how is it stopped, restarted and paused?

Tests share one server for speed, so every test has its own key prefix (`redis_prefix`) and never
flushes. A test that stops or pauses the server starts its own:

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
    """The Redis or Valkey of this machine, or from a wheel; never the emulation."""
    return first_source(accept=lambda source: source.real)


@functools.cache
def tls_source() -> Source:
    """One with TLS, which the wheels don't have; raises NoRedis if there is none."""
    try:
        return first_source(accept=_speaks_tls)
    except NoRedis as error:
        raise NoRedis(ADVICE) from error


def _speaks_tls(source: Source) -> bool:
    # It reads its settings in order, and exits at the first invalid one.
    command = [*source.command, "--tls-port", "0", "--no-such-setting", "0"]
    output = subprocess.run(command, capture_output=True, text=True, timeout=10)
    return source.real and "no-such-setting" in output.stdout + output.stderr


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
        """For `REDIS_URL`; a restart doesn't change it."""
        return self._server.url

    @property
    def port(self) -> int:
        """A restart doesn't change it."""
        return self._server.port

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        return self._server.child.pid

    @property
    def folder(self) -> Path | None:
        """The folder of its files; None if it isn't running."""
        return self._server.folder

    def client(self) -> redis.Redis:
        """A new client; close it, or use it as a context manager."""
        return redis.Redis.from_url(self.url, protocol=3)

    def stop(self) -> None:
        """Stop the server but keep its data; connections are refused from now on."""
        self._server.child.stop()

    def kill(self) -> None:
        """`stop`, with SIGKILL."""
        self._server.child.kill()

    def start_again(self) -> None:
        """Start the stopped server with its data; returns when it responds."""
        self._server.start_again()

    def restart(self) -> None:
        """Stop and start."""
        self.stop()
        self.start_again()

    def pause(self) -> None:
        """From now on it accepts connections, but doesn't reply (SIGSTOP)."""
        self._server.child.pause()

    def resume(self) -> None:
        """Undo `pause`."""
        self._server.child.resume()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """The server that all tests share. Don't stop or pause it."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def redis_prefix() -> str:
    """A key prefix that no other test uses."""
    return f"test-{secrets.token_hex(6)}"


def main() -> int:
    """Print which Redis with TLS is used (`python -m tests.support.redis_server`); 1 if none."""
    try:
        print(f"Redis with TLS: {tls_source().description}")
    except NoRedis as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
