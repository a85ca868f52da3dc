"""How does a command reach the right node of a Redis Cluster, also while one of them fails over?

redis-py's `RedisCluster` keeps the map of the slots and the connections; which node is asked, how
often and for how long is decided here. Its own pipeline (8.1) asks a "default node" for the keys of
each script, and never another one once that node is dead: a process then answered 503 until it
happened to touch a slot of the dead node. It also lets every thread wait for a new map as long as
all nodes together take to answer. Here each command goes to its key's node and nowhere else, and
one thread makes the map anew while the others wait for it no longer than for a command.
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

TRIES = 3
"""The map may be old, and so may the next one in the middle of a failover."""

ANOTHER_NODE = (
    redis.ConnectionError, MovedError, ClusterDownError, SlotNotCoveredError, ReadOnlyError,
)  # fmt: skip
"""What a newer map may cure. A time-out is final: the caller has waited long enough."""

Words = tuple[str | bytes | float, ...]


class ClusterClient:
    """A Redis Cluster. Nothing is sent before the first command.

    Args:
        make: Makes the client that keeps the map; it asks the cluster, and may raise.
        timeout_seconds: How long one command may take, and how long it waits for a map.
    """

    def __init__(self, make: Callable[[], RedisCluster], timeout_seconds: float) -> None:
        self._make = make
        self._timeout_seconds = timeout_seconds
        self._map: RedisCluster | None = None
        self._lock = Lock()
        self._looking: Event | None = None

    def send(
        self, commands: Sequence[Words], *, replicas: int = 0, wait_milliseconds: int = 0
    ) -> tuple[list[Any], int]:
        """Send each command to the node of its key, those of one node in one round trip.

        Args:
            commands: Each has its key in second place; `EVAL` and `EVALSHA` have it in fourth.
            replicas: By how many replicas the writes are to be taken over (`WAIT`, on the
                connection that wrote); 0 doesn't ask.
            wait_milliseconds: How long all nodes together may take for that.

        Returns:
            The answers in order, an error in place of what failed; and by how many replicas at
            least each write was taken over.

        Raises:
            RedisError, RedisClusterException: Redis hangs, or no node answers at all.
        """
        look_until = time.monotonic() + self._timeout_seconds
        answers: list[Any] = [None] * len(commands)
        pending, fewest = list(range(len(commands))), replicas
        for _ in range(TRIES):
            wait = (replicas, wait_milliseconds)
            fewest = min(fewest, self._send_pending(commands, pending, answers, wait, look_until))
            pending = [i for i in pending if _needs_another_node(answers[i])]
            if not pending:
                break
            self._correct_map([answers[i] for i in pending], look_until)
        for i, answer in enumerate(answers):
            if isinstance(answer, (AskError, TryAgainError)) and i not in pending:
                # A slot on its way between two nodes: redis-py knows this dance, without `WAIT`.
                answers[i] = self._redirected(commands[i], look_until)
                fewest = 0
        return answers, fewest

    def close(self) -> None:
        """Close the connections; the next command opens new ones."""
        if self._map is not None:
            self._map.close()
            self._map = None

    def _send_pending(
        self,
        commands: Sequence[Words],
        pending: list[int],
        answers: list[Any],
        wait: tuple[int, int],
        look_until: float,
    ) -> int:
        """Put the answers (or errors) of *pending* into *answers*; how many replicas have them."""
        known = self._known(look_until)
        nodes: dict[Any, list[int]] = defaultdict(list)
        for i in pending:
            try:
                nodes[known.get_node_from_key(_key(commands[i]))].append(i)  # type: ignore[no-untyped-call]
            except SlotNotCoveredError as error:
                answers[i] = error
        replicas, milliseconds = wait
        fewest = replicas
        for node, numbers in nodes.items():
            words = [commands[i] for i in numbers]
            if replicas:
                words.append(("WAIT", replicas, milliseconds // len(nodes)))
            got = self._ask(known, node, words)
            if replicas and isinstance(acknowledged := got.pop(), int):
                fewest = min(fewest, acknowledged)
            for i, answer in zip(numbers, got, strict=True):
                answers[i] = answer
        return fewest

    def _ask(self, known: RedisCluster, node: Any, words: list[Words]) -> list[Any]:
        """The answers of one node; when it can't be reached, that error for each."""
        connection = known.get_redis_connection(node)
        try:
            with connection.pipeline(transaction=False) as pipeline:
                for command in words:
                    pipeline.execute_command(*command)  # type: ignore[no-untyped-call]
                return list(pipeline.execute(raise_on_error=False))
        except redis.ConnectionError as error:
            return [error] * len(words)
        except redis.TimeoutError:
            # A node that hangs may have been replaced: the next request shall know.
            self._look()
            raise

    def _redirected(self, words: Words, look_until: float) -> Any:
        return self._known(look_until).execute_command(*words)  # type: ignore[no-untyped-call]

    def _correct_map(self, errors: list[Any], look_until: float) -> None:
        """After *errors*: at once where the answer told the node, else by asking the cluster."""
        told = [error for error in errors if isinstance(error, MovedError)]
        for error in told:
            self._known(look_until).nodes_manager.move_slot(error)
        looking = self._look()
        if len(told) < len(errors):
            looking.wait(max(0.0, look_until - time.monotonic()))

    def _known(self, look_until: float) -> RedisCluster:
        """The map.

        Raises:
            ConnectionError: No node has told it in time; the search goes on.
        """
        known = self._map
        if known is None:
            self._look().wait(max(0.0, look_until - time.monotonic()))
            known = self._map
        if known is None:
            raise redis.ConnectionError("no node of the cluster has answered")
        return known

    def _look(self) -> Event:
        """Have the map made anew, by one thread however many ask; the event tells when it is."""
        with self._lock:
            if self._looking is None:
                self._looking = Event()
                Thread(target=self._look_now, name="cluster-map", daemon=True).start()
            return self._looking

    def _look_now(self) -> None:
        known = self._map
        try:
            if known is None:
                self._map = self._make()
            else:
                known.nodes_manager.initialize()
        except Exception as error:
            # A thread's end: whatever it was, the next one begins with the configured nodes again.
            log.warning("no map of the Redis Cluster: %s", type(error).__name__)
            self._map = None
        finally:
            with self._lock:
                ready, self._looking = self._looking, None
            if ready is not None:
                ready.set()


def _key(words: Words) -> str | bytes | float:
    return words[3 if words[0] in ("EVAL", "EVALSHA") else 1]


def _needs_another_node(answer: object) -> bool:
    return isinstance(answer, ANOTHER_NODE)
