"""How does a process learn at once that a key it has read from Redis has changed?

Over a connection of its own with `CLIENT TRACKING` (RESP3): Redis tracks the keys that are read
over it, and pushes their changes into it. Everything arrives in the order in which Redis did it, so
a reply to a command arrives after every change that was made before that command. That holds under
three conditions (tracking.c and server.c of Redis 6.2, 7.0, 7.4, 8 and Valkey):

- The default mode, never BCAST: that mode gathers changes until the end of an event loop cycle, so
  the reply to a command in the same cycle is sent before them.
- Keys must be read over this very connection. With `REDIRECT`, Redis drops the tracked keys of a
  connection that closes, and doesn't notify the other one.
- The reading command must not write the same key, or it is reported as a change.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from redis.credentials import CredentialProvider
from redis.exceptions import RedisError

from bff.core.errors import StoreUnavailable
from bff.store.redis_clients import make_client
from bff.store.redis_cluster import Command


class ChangeTracking:
    """One such connection. Not thread-safe.

    Args:
        url: As in `REDIS_URL`; not a cluster, where each node would need a connection.
        timeout_seconds: Upper bound for one command.
        ca_file: As in `make_client`.
        on_connect: The same.
        login: The same.
    """

    def __init__(
        self,
        url: str,
        timeout_seconds: float,
        ca_file: str | None = None,
        on_connect: Callable[[Any], None] | None = None,
        login: CredentialProvider | None = None,
    ) -> None:
        self._client = make_client(url, timeout_seconds, ca_file, on_connect, login)
        self._connection: Any = self._client.connection_pool.make_connection()  # type: ignore[union-attr]
        self._pushed: list[list[bytes] | None] = []

    def open(self) -> None:
        """Connect, with Sentinels to their master, and switch tracking on.

        Raises:
            StoreUnavailable: Redis is away, or doesn't support tracking.
        """
        self._pushed.clear()
        try:
            self._connection.connect()
            # redis-py only logs an exception of a handler, so this one must not raise.
            self._connection._parser.set_invalidation_push_handler(
                lambda message: self._pushed.append(message[1])
            )
        except RedisError as error:
            raise _unavailable(error) from error
        self.send(("CLIENT", "TRACKING", "ON"))

    def send(self, *commands: Command) -> list[Any]:
        """Send *commands* in one round trip; returns their replies.

        Raises:
            StoreUnavailable: The connection is unusable; `close` it.
        """
        try:
            self._connection.send_packed_command(self._connection.pack_commands(commands))
            return [self._connection.read_response() for _ in commands]
        except RedisError as error:
            raise _unavailable(error) from error

    def changed(self) -> Sequence[str] | None:
        """The keys that have changed since the last call; None if any of them may have."""
        pushed, self._pushed[:] = list(self._pushed), []
        if None in pushed:
            return None
        return [name.decode() for names in pushed if names is not None for name in names]

    def close(self) -> None:
        """Close the connection; it can be opened again."""
        self._connection.disconnect()


def _unavailable(error: RedisError) -> StoreUnavailable:
    return StoreUnavailable(f"tracking: {type(error).__name__}: {str(error)[:60]}")
