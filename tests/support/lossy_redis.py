"""How does a test make a real Redis forget what it was told?"""

from __future__ import annotations

from contextlib import suppress

import redis


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
