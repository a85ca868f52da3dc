"""How does a process hear at once that what it has read from Redis has changed?

Over one connection of its own, with Redis's tracking switched on (`CLIENT TRACKING`, RESP3): what
was read over it is watched, and a change is pushed into it. Whatever comes over it comes in the
order in which Redis did it. So whoever has the answer to any command sent over it also has every
change that was made before that command. Three conditions of that, seen in Redis's sources
(tracking.c and server.c of 6.2, 7.0, 7.4, 8 and Valkey):

- The default mode, never BCAST: that one gathers changes until the end of a turn of the event loop,
  so a command of the same turn is answered before them.
- What is watched must have been read over this very connection. With `REDIRECT`, Redis forgets what
  a connection has read when that one closes, and says nothing of it to the one that listens.
- The reading command must not write the same key, or it reports itself as a change.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redis.exceptions import RedisError

from bff.core.errors import StoreUnavailable
from bff.store.redis_clients import make_client

Words = tuple[str | bytes | float, ...]


class ChangeTracking:
    """One such connection. Not for several threads at once.

    Args:
        url: As in `REDIS_URL`; not a cluster, where each node would need a connection.
        timeout_seconds: How long one command may take.
        ca_file: As `make_client` takes it.
    """

    def __init__(self, url: str, timeout_seconds: float, ca_file: str | None = None) -> None:
        self._client = make_client(url, timeout_seconds, ca_file)
        self._connection: Any = self._client.connection_pool.make_connection()  # type: ignore[union-attr]
        self._pushed: list[list[bytes] | None] = []

    def open(self) -> None:
        """Connect, to the master if Sentinels know it, and switch tracking on.

        Raises:
            StoreUnavailable: Redis is away, or knows no tracking.
        """
        self._pushed.clear()
        try:
            self._connection.connect()
            # redis-py logs what a handler raises and goes on, so this one must not be able to fail.
            self._connection._parser.set_invalidation_push_handler(
                lambda message: self._pushed.append(message[1])
            )
        except RedisError as error:
            raise _unavailable(error) from error
        self.ask(("CLIENT", "TRACKING", "ON"))

    def ask(self, *commands: Words) -> list[Any]:
        """Send *commands* in one round trip; their answers.

        Raises:
            StoreUnavailable: The connection is of no use any more; `close` it.
        """
        try:
            self._connection.send_packed_command(self._connection.pack_commands(commands))
            return [self._connection.read_response() for _ in commands]
        except RedisError as error:
            raise _unavailable(error) from error

    def changed(self) -> Sequence[str] | None:
        """The keys that were pushed as changed since the last call; None if it is all of them."""
        pushed, self._pushed[:] = list(self._pushed), []
        if None in pushed:
            return None
        return [name.decode() for names in pushed if names is not None for name in names]

    def close(self) -> None:
        """Drop the connection; it can be opened again."""
        self._connection.disconnect()


def _unavailable(error: RedisError) -> StoreUnavailable:
    return StoreUnavailable(f"tracking: {type(error).__name__}: {str(error)[:60]}")
