"""How is a command sent to Redis, how long may it take, and what happens when Redis is away?

Every command goes through `Database`. Every failure of Redis or the network becomes
`StoreUnavailable`: the response is 503, and the user stays signed in (promise 5).
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from typing import Any

from redis.exceptions import NoScriptError, RedisClusterException, RedisError

from bff.config import Config
from bff.core.errors import StoreUnavailable
from bff.core.operations import observers
from bff.store.history_marks import HistoryMarks
from bff.store.keys import Keys
from bff.store.known_servers import KnownServers
from bff.store.redis_clients import Client, make_client
from bff.store.redis_cluster import ClusterClient, Command
from bff.store.redis_login import changing_login
from bff.store.round_trips import (
    raise_first,
    send,
    send_observed,
    send_together,
    send_together_observed,
)

log = logging.getLogger(__name__)

ScriptCall = tuple[list[str], list[str | bytes | float]]
"""Keys and arguments for one run of a script."""

FAILURES = (RedisError, RedisClusterException)
_NOW = "return redis.call('TIME')"


class Script:
    """A Lua script; sent by its hash, which Redis knows after the first run."""

    def __init__(self, source: str) -> None:
        self.source = source
        # Redis identifies scripts by SHA-1; security doesn't depend on it.
        self.sha = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()


class Database:
    """One Redis, and the BFF's keys in it.

    Args:
        client: A client that returns bytes; it connects at the first command.
        prefix: `BFF_REDIS_PREFIX`; all keys begin with it.
        wait_replicas: How many replicas must confirm an end or a watermark.
        timeout_seconds: Upper bound for one command.
        servers: Those that new connections may lead to; any if None.
        marks: Written behind what must not be lost; None for no marks.
    """

    def __init__(
        self,
        client: Client,
        prefix: str,
        *,
        wait_replicas: int = 0,
        timeout_seconds: float = 1.0,
        servers: KnownServers | None = None,
        marks: HistoryMarks | None = None,
    ) -> None:
        # Untyped: redis-py's types cover the blocking and the async client at once.
        self.client: Any = client
        self.prefix = prefix
        self.keys = Keys(prefix)
        self._wait_replicas = wait_replicas
        # Shorter than the socket's time-out, or an end that was written would count as failed.
        self._wait_milliseconds = int(timeout_seconds * 500)
        self._now = Script(_NOW)
        self.servers = servers
        self.marks = marks
        self.history_cut_at = 0
        """Sessions that began before this are not valid (`history_cut`)."""

    def run(self, script: Script, keys: list[str], *args: str | bytes | float) -> Any:
        """Run *script* in one round trip, or two if Redis doesn't know it yet.

        Raises:
            StoreUnavailable: Redis failed, refused or timed out. The script may have run.
        """
        try:
            try:
                return self._send(("EVALSHA", script.sha, len(keys), *keys, *args))
            except NoScriptError:
                return self._send(("EVAL", script.source, len(keys), *keys, *args))
        except FAILURES as error:
            raise StoreUnavailable(_error_text(error)) from error

    def run_safely(self, script: Script, keys: list[str], *args: str | bytes | float) -> Any:
        """`run` for ends and watermarks, which must survive a failover.

        Waits for the configured number of replicas. If fewer confirm, that is logged: the write
        itself has succeeded. `WAIT` reduces what a failover can lose, but can't rule it out.
        """
        return self.run_many(script, [(keys, list(args))], safely=True)[0]

    def run_kept(self, script: Script, keys: list[str], *args: str | bytes | float) -> Any:
        """`run`; returns the result, and whether as many replicas as must have what it wrote."""
        call: ScriptCall = (keys, list(args))
        replies, acknowledged = self._run_all(script, [call], self._wait_replicas)
        return replies[0], acknowledged >= self._wait_replicas

    def command(self, *words: str | bytes | float) -> Any:
        """Send one command; the result is as redis-py parses it.

        Raises:
            StoreUnavailable: As in `run`.
        """
        try:
            return self._send(words)
        except FAILURES as error:
            raise StoreUnavailable(_error_text(error)) from error

    def commands(self, *commands: Command) -> list[Any]:
        """Send several commands in one round trip, without a transaction."""
        try:
            return raise_first(self._pipelined(commands)[0])
        except FAILURES as error:
            raise StoreUnavailable(_error_text(error)) from error

    def commands_safely(self, *commands: Command) -> None:
        """`commands` for what must survive a failover, as `run_safely`."""
        try:
            replies, acknowledged = self._marked(commands, self._wait_replicas)
            raise_first(replies)
        except FAILURES as error:
            raise StoreUnavailable(_error_text(error)) from error
        self._tell_of_few(acknowledged)

    def commands_of_master(self, *commands: Command) -> list[Any]:
        """`commands` that only read, and that a replica must not answer: it may be outdated."""
        if isinstance(self.client, ClusterClient):
            return self.commands(*commands)  # Its replicas redirect.
        return self.commands(("DEL", self.keys.absent()), *commands)[1:]

    def run_many(
        self,
        script: Script,
        calls: list[ScriptCall],
        *,
        safely: bool = False,
    ) -> list[Any]:
        """Run *script* once for each of *calls*, in one round trip, without a transaction.

        Args:
            script: The script.
            calls: Keys and arguments of each run.
            safely: Wait for replicas, as `run_safely` does.

        Raises:
            StoreUnavailable: As in `run`; some of the runs may have succeeded.
        """
        if not safely:
            return self._run_all(script, calls, None)[0]
        replies, acknowledged = self._run_all(script, calls, self._wait_replicas)
        self._tell_of_few(acknowledged)
        return replies

    def run_each(self, script: Script, calls: list[ScriptCall]) -> tuple[list[Any], bool]:
        """`run_many`, with an error in place of each reply that fails; and `run_kept`'s answer.

        Raises:
            StoreUnavailable: None has run, or one timed out.
        """
        replies, acknowledged = self._replies(script, calls, self._wait_replicas)
        return replies, acknowledged >= self._wait_replicas

    def _run_all(
        self, script: Script, calls: list[ScriptCall], replicas: int | None
    ) -> tuple[list[Any], int]:
        """The replies, and how many of the *replicas* confirmed; None for what may be lost."""
        replies, acknowledged = self._replies(script, calls, replicas)
        try:
            return raise_first(replies), acknowledged
        except FAILURES as error:
            raise StoreUnavailable(_error_text(error)) from error

    def _replies(
        self, script: Script, calls: list[ScriptCall], replicas: int | None
    ) -> tuple[list[Any], int]:
        """`_run_all`, with an error in place of each reply that fails."""
        batch: list[Command] = [
            ("EVALSHA", script.sha, len(keys), *keys, *arguments) for keys, arguments in calls
        ]
        send_batch = self._pipelined if replicas is None else self._marked
        try:
            replies, acknowledged = send_batch(batch, replicas or 0)
            # A replica that was promoted doesn't know the script; other nodes have run theirs.
            unknown = [i for i, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
            if unknown:
                sources = [("EVAL", script.source, *batch[i][2:]) for i in unknown]
                late, late_acknowledged = send_batch(sources, replicas or 0)
                acknowledged = min(acknowledged, late_acknowledged)
                for i, reply in zip(unknown, late, strict=True):
                    replies[i] = reply
            return replies, acknowledged
        except FAILURES as error:
            raise StoreUnavailable(_error_text(error)) from error

    def _marked(self, commands: Sequence[Command], replicas: int) -> tuple[list[Any], int]:
        """`_pipelined`, and a mark behind it: whatever loses these writes loses the mark, too."""
        marks = self.marks
        if marks is None or not marks.are_left:
            return self._pipelined(commands, replicas)
        if isinstance(self.client, ClusterClient):
            replies, acknowledged = self._pipelined(commands, replicas)
            marks.lacks_replicas = marks.lacks_replicas or acknowledged < replicas
            return replies, acknowledged
        mark = marks.next()
        replies, acknowledged = self._pipelined([*commands, marks.command(mark)], replicas)
        if not isinstance(replies.pop(), Exception):
            marks.confirm(mark)  # Without the replicas, too: these writes stand.
        return replies, acknowledged

    def _tell_of_few(self, acknowledged: int) -> None:
        if acknowledged < self._wait_replicas:
            log.error("only %d of %d replicas have it", acknowledged, self._wait_replicas)

    def _send(self, words: Command) -> Any:
        return (send_observed if observers else send)(self.client, words)

    def _pipelined(self, commands: Sequence[Command], replicas: int = 0) -> tuple[list[Any], int]:
        together = send_together_observed if observers else send_together
        return together(self.client, commands, replicas, self._wait_milliseconds)

    def info_of_masters(self) -> list[bytes]:
        """`INFO` of each master of a cluster; empty if it is none.

        Raises:
            StoreUnavailable: As in `run`.
        """
        if not isinstance(self.client, ClusterClient):
            return []
        try:
            return self.client.info()
        except FAILURES as error:
            raise StoreUnavailable(_error_text(error)) from error

    def disconnect(self) -> None:
        """Close the connections that are not in use; the next commands open new ones."""
        if not isinstance(self.client, ClusterClient):  # Its nodes redirect.
            self.client.connection_pool.disconnect(inuse_connections=False)

    def now(self) -> float:
        """Redis's clock, in UTC epoch seconds; it decides."""
        # By a script on one key, so that on a cluster it is always the same node's clock.
        seconds, microseconds = self.run(self._now, [self.keys.deadlines()])
        return int(seconds) + int(microseconds) / 1_000_000


def connect(
    config: Config, servers: KnownServers | None = None, marks: HistoryMarks | None = None
) -> Database:
    """Make a client of the configured Redis; nothing is sent before the first command."""
    client = make_client(
        config.redis_url.get_secret_value(),
        config.redis_timeout_seconds,
        config.trusted_cas,
        servers,
        changing_login(config),
    )
    return Database(
        client,
        config.redis_prefix,
        wait_replicas=config.redis_wait_replicas,
        timeout_seconds=config.redis_timeout_seconds,
        servers=servers,
        marks=marks,
    )


def _error_text(error: Exception) -> str:
    """Class and beginning only: a message may quote a command's arguments."""
    return f"{type(error).__name__}: {str(error)[:60]}"
