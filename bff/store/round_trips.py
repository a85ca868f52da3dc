"""What is one round trip to Redis, to a single server or a cluster, and who is told of it?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redis.exceptions import NoScriptError

from bff.core.operations import Operation
from bff.store.redis_cluster import ClusterClient, Command


def send(client: Any, words: Command) -> Any:
    """The reply to one command; raises redis-py's errors."""
    if isinstance(client, ClusterClient):
        return raise_first(client.send([words])[0])[0]
    return client.execute_command(*words)


def send_observed(client: Any, words: Command) -> Any:
    """`send`, which observers are told of."""
    with Operation("redis", str(words[0])) as operation:
        operation.script = str(words[1]) if words[0] == "EVALSHA" else ""
        try:
            return send(client, words)
        except NoScriptError as error:  # A reply; nothing has failed.
            unknown = error
    raise unknown


def send_together(
    client: Any, commands: Sequence[Command], replicas: int, wait_milliseconds: int
) -> tuple[list[Any], int]:
    """The replies, errors included; and how many replicas confirmed, if *replicas* isn't 0."""
    if isinstance(client, ClusterClient):
        return client.send(commands, replicas=replicas, wait_milliseconds=wait_milliseconds)
    with client.pipeline(transaction=False) as pipeline:
        for words in commands:
            pipeline.execute_command(*words)
        if replicas:
            # `WAIT` speaks of its own connection's writes, so it goes with them.
            pipeline.execute_command("WAIT", replicas, wait_milliseconds)
        replies = list(pipeline.execute(raise_on_error=False))
    acknowledged = replies.pop() if replicas else 0
    return replies, acknowledged if isinstance(acknowledged, int) else 0


def send_together_observed(
    client: Any, commands: Sequence[Command], replicas: int, wait_milliseconds: int
) -> tuple[list[Any], int]:
    """`send_together`, which observers are told of."""
    with Operation("redis", "pipeline"):
        return send_together(client, commands, replicas, wait_milliseconds)


def raise_first(replies: list[Any]) -> list[Any]:
    """*replies*, or the first error among them."""
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
    return replies
