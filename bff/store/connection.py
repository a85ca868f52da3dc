"""How do we reach Redis, how long do we wait for it, and what happens when it is away?

Every command goes through `Database`. Whatever Redis or the network does wrong becomes
`StoreUnavailable`, which is answered with 503 and never with a sign-out (promise 5).
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from typing import Any

from redis.exceptions import NoScriptError, RedisClusterException, RedisError

from bff.config import Config
from bff.core.errors import StoreUnavailable
from bff.store.keys import Keys
from bff.store.redis_clients import Client, make_client
from bff.store.redis_cluster import ClusterClient, Words

log = logging.getLogger(__name__)

ScriptCall = tuple[list[str], list[str | bytes | float]]
"""Keys and arguments of one run of a script."""

FAILURES = (RedisError, RedisClusterException)
_NOW = "return redis.call('TIME')"


class Script:
    """A Lua script, sent by its hash once Redis knows it."""

    def __init__(self, source: str) -> None:
        self.source = source
        # Redis names scripts by SHA-1; nothing secret depends on it.
        self.sha = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()


class Database:
    """One Redis and our part of its key space.

    Args:
        client: A client that answers bytes; it connects at the first command.
        prefix: What all our keys begin with.
        wait_replicas: By how many replicas an end or a watermark must have been taken over.
        timeout_seconds: How long one command may take.
    """

    def __init__(
        self, client: Client, prefix: str, *, wait_replicas: int = 0, timeout_seconds: float = 1.0
    ) -> None:
        # Not typed: redis-py types its commands for the blocking and the async client at once.
        self.client: Any = client
        self.prefix = prefix
        self.keys = Keys(prefix)
        self._wait_replicas = wait_replicas
        # Shorter than the socket's, or an end that stands would be taken for one that failed.
        self._wait_milliseconds = int(timeout_seconds * 500)
        self._now = Script(_NOW)

    def run(self, script: Script, keys: list[str], *args: str | bytes | float) -> Any:
        """Run *script* in Redis: one round trip, and one more the first time ever.

        Raises:
            StoreUnavailable: Redis refused, hung or failed. The script may have run.
        """
        try:
            try:
                return self._send(("EVALSHA", script.sha, len(keys), *keys, *args))
            except NoScriptError:
                return self._send(("EVAL", script.source, len(keys), *keys, *args))
        except FAILURES as error:
            raise StoreUnavailable(_described(error)) from error

    def run_safely(self, script: Script, keys: list[str], *args: str | bytes | float) -> Any:
        """`run`, for what must outlast a failover: an end, a watermark.

        Where replicas are configured, it waits until so many have it; too few are logged, since the
        end itself stands. `WAIT` lessens what a failover can lose and doesn't rule it out.
        """
        return self.run_many(script, [(keys, list(args))], safely=True)[0]

    def command(self, *words: str | bytes | float) -> Any:
        """Send one plain command; the answer is as redis-py parses it.

        Raises:
            StoreUnavailable: As in `run`.
        """
        try:
            return self._send(words)
        except FAILURES as error:
            raise StoreUnavailable(_described(error)) from error

    def commands(self, *commands: Words) -> list[Any]:
        """Send several commands in one round trip; they are not one transaction."""
        try:
            return _raise_first(self._pipelined(commands)[0])
        except FAILURES as error:
            raise StoreUnavailable(_described(error)) from error

    def run_many(
        self,
        script: Script,
        calls: list[ScriptCall],
        *,
        safely: bool = False,
    ) -> list[Any]:
        """Run *script* once for each `(keys, arguments)`, in one round trip; not one transaction.

        Args:
            script: What to run.
            calls: Keys and arguments of each run.
            safely: Wait for replicas, as `run_safely` does.

        Raises:
            StoreUnavailable: As in `run`; some of them may have run.
        """
        batch: list[Words] = [
            ("EVALSHA", script.sha, len(keys), *keys, *arguments) for keys, arguments in calls
        ]
        replicas = self._wait_replicas if safely else 0
        try:
            answers, acknowledged = self._pipelined(batch, replicas)
            # It is new to a replica that was promoted; other nodes have run theirs.
            unknown = [i for i, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
            if unknown:
                sources = [("EVAL", script.source, *batch[i][2:]) for i in unknown]
                late, late_acknowledged = self._pipelined(sources, replicas)
                acknowledged = min(acknowledged, late_acknowledged)
                for i, answer in zip(unknown, late, strict=True):
                    answers[i] = answer
            _raise_first(answers)
        except FAILURES as error:
            raise StoreUnavailable(_described(error)) from error
        if acknowledged < replicas:
            log.error("only %d of %d replicas have it", acknowledged, replicas)
        return answers

    def _send(self, words: Words) -> Any:
        if isinstance(self.client, ClusterClient):
            return _raise_first(self.client.send([words])[0])[0]
        return self.client.execute_command(*words)

    def _pipelined(self, commands: Sequence[Words], replicas: int = 0) -> tuple[list[Any], int]:
        """The answers, errors among them; and how many replicas have them, if *replicas* asks."""
        wait = self._wait_milliseconds
        if isinstance(self.client, ClusterClient):
            return self.client.send(commands, replicas=replicas, wait_milliseconds=wait)
        with self.client.pipeline(transaction=False) as pipeline:
            for words in commands:
                pipeline.execute_command(*words)
            if replicas:
                # `WAIT` speaks of its own connection's writes, so it goes with them.
                pipeline.execute_command("WAIT", replicas, wait)
            answers = list(pipeline.execute(raise_on_error=False))
        acknowledged = answers.pop() if replicas else 0
        return answers, acknowledged if isinstance(acknowledged, int) else 0

    def now(self) -> float:
        """Redis's clock, in UTC epoch seconds: the one that decides."""
        # By a script on a key of ours, so that it is one clock also where there are several nodes.
        seconds, microseconds = self.run(self._now, [self.keys.deadlines()])
        return int(seconds) + int(microseconds) / 1_000_000


def connect(config: Config) -> Database:
    """Make the client for the configured Redis; nothing is sent before the first command."""
    client = make_client(
        config.redis_url.get_secret_value(), config.redis_timeout_seconds, config.trusted_cas
    )
    return Database(
        client,
        config.redis_prefix,
        wait_replicas=config.redis_wait_replicas,
        timeout_seconds=config.redis_timeout_seconds,
    )


def _raise_first(answers: list[Any]) -> list[Any]:
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    return answers


def _described(error: Exception) -> str:
    """Class and first words only: a message may quote a command's arguments."""
    return f"{type(error).__name__}: {str(error)[:60]}"
