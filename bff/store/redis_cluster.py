"""How does a command reach the right node of a Redis Cluster, even during a failover?

redis-py's `RedisCluster` keeps the slot map and the connections; this file decides which node gets
a command, how often and for how long. redis-py's own pipeline (8.1) asks a "default node" for the
keys of each script, and no other one after that node fails: a process then returned 503 until it
happened to use a slot of the failed node. And each of its threads waits for a new map as long as
all nodes together take to respond. Here each command goes to its key's node only, and one thread
renews the map while the others wait no longer than for a command.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from threading import Event, Lock, Thread
from typing import Any

import redis
from redis.cluster import RedisCluster
from redis.exceptions import (
    AskError,
    ClusterDownError,
    MovedError,
    ReadOnlyError,
    SlotNotCoveredError,
    TryAgainError,
)

log = logging.getLogger(__name__)

KEYS_TRIED = 500
"""A master with a hundredth of the slots has one of so many keys, all but certainly."""
TRIES = 3
"""The map may be outdated; during a failover, so may the next one."""

ANOTHER_NODE = (
    redis.ConnectionError, MovedError, ClusterDownError, SlotNotCoveredError, ReadOnlyError,
)  # fmt: skip
"""A newer map may help with these. A time-out is final: the caller has waited long enough."""

IS_REPLICA = b"role:slave"
"""In the reply to `INFO`."""

Command = tuple[str | bytes | float, ...]
"""A command of Redis and its arguments."""


class ClusterClient:
    """A Redis Cluster. Nothing is sent before the first command.

    Args:
        make: Makes the client that keeps the map; it connects to the cluster, and may raise.
        timeout_seconds: Upper bound for one command, and for its wait for a map.
    """

    def __init__(self, make: Callable[[], RedisCluster], timeout_seconds: float) -> None:
        self._make = make
        self._timeout_seconds = timeout_seconds
        self._map: RedisCluster | None = None
        self._lock = Lock()
        self._map_ready: Event | None = None

    def send(
        self, commands: Sequence[Command], *, replicas: int = 0, wait_milliseconds: int = 0
    ) -> tuple[list[Any], int]:
        """Send each command to the node of its key, with one round trip per node.

        Args:
            commands: The key is the second word; with `EVAL` and `EVALSHA` the fourth.
            replicas: How many replicas must confirm the writes (`WAIT`, on the connection that
                wrote); 0 doesn't ask for it.
            wait_milliseconds: Upper bound for that wait, over all nodes.

        Returns:
            The replies in order, an error in place of each failure; and the lowest number of
            replicas that confirmed a write.

        Raises:
            RedisError, RedisClusterException: Redis timed out, or no node responds.
        """
        map_until = time.monotonic() + self._timeout_seconds
        replies: list[Any] = [None] * len(commands)
        pending, fewest = list(range(len(commands))), replicas
        for _ in range(TRIES):
            wait = (replicas, wait_milliseconds)
            fewest = min(fewest, self._send_pending(commands, pending, replies, wait, map_until))
            pending = [i for i in pending if _needs_another_node(replies[i])]
            if not pending:
                break
            self._correct_map([replies[i] for i in pending], map_until)
        for i, reply in enumerate(replies):
            if isinstance(reply, (AskError, TryAgainError)) and i not in pending:
                # A slot that is being migrated: redis-py follows the redirect, without `WAIT`.
                replies[i] = self._redirected(commands[i], map_until)
                fewest = 0
        return replies, fewest

    def info(self) -> list[bytes]:
        """`INFO` of each master that responds.

        Raises:
            RedisError, RedisClusterException: One timed out, or none responds.
        """
        map_until = time.monotonic() + self._timeout_seconds
        replies = self._info(map_until)
        if any(IS_REPLICA in reply for reply in replies):
            # It has handed over. Nobody may ask it for a key, so no redirect corrects the map.
            self._start_renewal().wait(max(0.0, map_until - time.monotonic()))
            replies = self._info(map_until)
        return replies

    def _info(self, map_until: float) -> list[bytes]:
        known = self._slot_map(map_until)
        masters: list[Any] = known.get_primaries()  # type: ignore[no-untyped-call]
        # In a script, since redis-py would make a dictionary of all of it.
        replies = [self._ask(known, n, [("EVAL", "return redis.call('INFO')", 0)]) for n in masters]
        # A master that is down has its replacement soon; there is nothing to learn from it.
        return [reply for (reply,) in replies if isinstance(reply, bytes)]

    def keys_of_masters(self, name: Callable[[int], str]) -> list[str]:
        """Of the keys that *name* makes of numbers, the first one of each master.

        Raises:
            RedisError, RedisClusterException: No node responds.
        """
        known = self._slot_map(time.monotonic() + self._timeout_seconds)
        masters = len(known.get_primaries())  # type: ignore[no-untyped-call]
        found: dict[str, str] = {}
        for number in range(KEYS_TRIED):
            key = name(number)
            try:
                node: Any = known.get_node_from_key(key)  # type: ignore[no-untyped-call]
            except SlotNotCoveredError:
                continue
            found.setdefault(node.name, key)
            if len(found) == masters:
                break
        return list(found.values())

    def close(self) -> None:
        """Close the connections; the next command opens new ones."""
        if self._map is not None:
            self._map.close()
            self._map = None

    def _send_pending(
        self,
        commands: Sequence[Command],
        pending: list[int],
        replies: list[Any],
        wait: tuple[int, int],
        map_until: float,
    ) -> int:
        """Put the replies of *pending* into *replies*; returns how many replicas confirmed."""
        known = self._slot_map(map_until)
        nodes: dict[Any, list[int]] = defaultdict(list)
        for i in pending:
            try:
                nodes[known.get_node_from_key(_key(commands[i]))].append(i)  # type: ignore[no-untyped-call]
            except SlotNotCoveredError as error:
                replies[i] = error
        replicas, milliseconds = wait
        fewest = replicas
        for node, numbers in nodes.items():
            words = [commands[i] for i in numbers]
            if replicas:
                words.append(("WAIT", replicas, milliseconds // len(nodes)))
            got = self._ask(known, node, words)
            if replicas and isinstance(acknowledged := got.pop(), int):
                fewest = min(fewest, acknowledged)
            for i, reply in zip(numbers, got, strict=True):
                replies[i] = reply
        return fewest

    def _ask(self, known: RedisCluster, node: Any, words: list[Command]) -> list[Any]:
        """The replies of one node; if the connection fails, that error for each command."""
        connection = known.get_redis_connection(node)
        try:
            with connection.pipeline(transaction=False) as pipeline:
                for command in words:
                    pipeline.execute_command(*command)  # type: ignore[no-untyped-call]
                return list(pipeline.execute(raise_on_error=False))
        except redis.ConnectionError as error:
            return [error] * len(words)
        except redis.TimeoutError:
            # A node that hangs may have been replaced; the next request needs a new map.
            self._start_renewal()
            raise

    def _redirected(self, words: Command, map_until: float) -> Any:
        return self._slot_map(map_until).execute_command(*words)  # type: ignore[no-untyped-call]

    def _correct_map(self, errors: list[Any], map_until: float) -> None:
        """Correct the map from a redirect in *errors* at once, else by asking the cluster."""
        redirects = [error for error in errors if isinstance(error, MovedError)]
        for error in redirects:
            self._slot_map(map_until).nodes_manager.move_slot(error)
        renewed = self._start_renewal()
        if len(redirects) < len(errors):
            renewed.wait(max(0.0, map_until - time.monotonic()))

    def _slot_map(self, map_until: float) -> RedisCluster:
        """The current map.

        Raises:
            ConnectionError: No node has sent one in time; the renewal goes on.
        """
        known = self._map
        if known is None:
            self._start_renewal().wait(max(0.0, map_until - time.monotonic()))
            known = self._map
        if known is None:
            raise redis.ConnectionError("no node of the cluster has answered")
        return known

    def _start_renewal(self) -> Event:
        """Renew the map, in one thread for all callers; the event is set when it is ready."""
        with self._lock:
            if self._map_ready is None:
                self._map_ready = Event()
                Thread(target=self._renew_map, name="cluster-map", daemon=True).start()
            return self._map_ready

    def _renew_map(self) -> None:
        known = self._map
        try:
            if known is None:
                self._map = self._make()
            else:
                known.nodes_manager.initialize()
        except Exception as error:
            # Whatever it was, the thread ends; the next one starts from the configured nodes.
            log.warning("no map of the Redis Cluster: %s", type(error).__name__)
            self._map = None
        finally:
            with self._lock:
                ready, self._map_ready = self._map_ready, None
            if ready is not None:
                ready.set()


def _key(words: Command) -> str | bytes | float:
    return words[3 if words[0] in ("EVAL", "EVALSHA") else 1]


def _needs_another_node(reply: object) -> bool:
    return isinstance(reply, ANOTHER_NODE)
