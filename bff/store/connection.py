"""How do we reach Redis, how long do we wait for it, and what happens when it is away?

Every command goes through `Database`. Whatever Redis or the network does wrong becomes
`StoreUnavailable`, which is answered with 503 and never with a sign-out (promise 5).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError
from redis.retry import Retry

from bff.config import Config
from bff.errors import StoreUnavailable


class Script:
    """A Lua script, sent by its hash once Redis knows it."""

    def __init__(self, source: str) -> None:
        self.source = source
        # Redis names scripts by SHA-1; nothing secret depends on it.
        self.sha = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()


class Database:
    """One Redis and our part of its key space.

    Args:
        client: A connected redis-py client that answers bytes.
        prefix: What all our keys begin with.
    """

    def __init__(self, client: redis.Redis, prefix: str) -> None:
        self.client = client
        self.prefix = prefix

    def run(self, script: Script, keys: list[str], *args: str | bytes | float) -> Any:
        """Run *script* in Redis: one round trip, and one more the first time ever.

        Raises:
            StoreUnavailable: Redis refused, hung or failed. The script may have run.
        """
        try:
            try:
                return self.client.evalsha(script.sha, len(keys), *keys, *args)
            except NoScriptError:
                return self.client.eval(script.source, len(keys), *keys, *args)
        except RedisError as error:
            raise StoreUnavailable(_described(error)) from error

    def command(self, *words: str | bytes | float) -> Any:
        """Send one plain command; the answer is as redis-py parses it.

        Raises:
            StoreUnavailable: As in `run`.
        """
        try:
            return self.client.execute_command(*words)  # type: ignore[no-untyped-call]
        except RedisError as error:
            raise StoreUnavailable(_described(error)) from error

    def commands(self, *commands: tuple[str | bytes | float, ...]) -> list[Any]:
        """Send several commands in one round trip; they are not one transaction."""
        try:
            return self._pipelined(commands)
        except RedisError as error:
            raise StoreUnavailable(_described(error)) from error

    def run_many(
        self, script: Script, calls: list[tuple[list[str], list[str | bytes | float]]]
    ) -> list[Any]:
        """Run *script* once for each `(keys, arguments)`, in one round trip; not one transaction.

        Raises:
            StoreUnavailable: As in `run`; some of them may have run.
        """
        words: list[tuple[str | bytes | float, ...]] = [
            ("EVALSHA", script.sha, len(keys), *keys, *arguments) for keys, arguments in calls
        ]
        try:
            return self._pipelined(words)
        except NoScriptError:
            # None has run: a script that is unknown at the first call is unknown at all of them.
            self.command("SCRIPT LOAD", script.source)
            return self.commands(*words)
        except RedisError as error:
            raise StoreUnavailable(_described(error)) from error

    def _pipelined(self, commands: Sequence[tuple[str | bytes | float, ...]]) -> list[Any]:
        with self.client.pipeline(transaction=False) as pipeline:
            for words in commands:
                pipeline.execute_command(*words)  # type: ignore[no-untyped-call]
            return list(pipeline.execute())

    def now(self) -> float:
        """Redis's clock, in UTC epoch seconds: the one that decides."""
        seconds, microseconds = self.command("TIME")
        return int(seconds) + int(microseconds) / 1_000_000

    def key(self, *parts: str) -> str:
        """A key of ours: the prefix and *parts*, joined by colons."""
        return ":".join((self.prefix, *parts))


def connect(config: Config) -> Database:
    """Make the client; nothing is sent before the first command.

    redis-py's defaults are ten retries and five seconds each (LIBRARIES: 3.8 to 7.5 s before an
    answer). Here a dead pooled connection is replaced once and at once, and a time-out is final.
    A retried script can run twice; every script in `scripts` is written for that.
    """
    client = redis.Redis.from_url(
        config.redis_url.get_secret_value(),
        socket_timeout=config.redis_timeout_seconds,
        socket_connect_timeout=config.redis_timeout_seconds,
        retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
        decode_responses=False,
    )
    return Database(client, config.redis_prefix)


def _described(error: RedisError) -> str:
    """Class and first words only: a message may quote a command's arguments."""
    return f"{type(error).__name__}: {str(error)[:60]}"
