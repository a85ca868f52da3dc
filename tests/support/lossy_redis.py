"""How does a test make a real Redis forget what it was told?"""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

import redis

from tests.support.redis_server import RedisServer


def evict_all_that_expires(client: redis.Redis) -> int:
    """Let Redis evict every key with a lifetime, as when its memory is full; returns how many."""
    before = evicted(client)
    client.config_set("maxmemory-policy", "volatile-lru")
    client.config_set("maxmemory", 1)
    with suppress(redis.ResponseError):
        client.set("more", "than there is room for")
    client.config_set("maxmemory", 0)
    client.config_set("maxmemory-policy", "noeviction")
    return evicted(client) - before


def evicted(client: redis.Redis) -> int:
    """How many keys it has evicted since its start."""
    return int(client.info("stats")["evicted_keys"])


class Backup:
    """A copy of a server's append-only file, as it is now.

    Args:
        server: The server; it runs on.
        folder: Where the copy is stored.
    """

    def __init__(self, server: RedisServer, folder: Path) -> None:
        self._server = server
        self._copy = folder / "backup"
        assert server.folder is not None
        shutil.copytree(server.folder, self._copy)

    def put_in_place(self) -> None:
        """Replace the files of the stopped server."""
        folder = self._server.folder
        assert folder is not None
        shutil.rmtree(folder)
        shutil.copytree(self._copy, folder)
