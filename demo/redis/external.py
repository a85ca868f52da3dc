"""How does the demo use a Redis of the user's, and leave it as it was?"""

from __future__ import annotations

from urllib.parse import urlsplit

import redis

from demo.redis.embedded import NoRedis

TIMEOUT_SECONDS = 3
BATCH = 500


def check(url: str) -> str:
    """Make sure that it answers.

    Returns:
        What it is, without the password.

    Raises:
        NoRedis: It doesn't answer, or the address is none.
    """
    try:
        with _client(url) as client:
            version = client.info("server")["redis_version"]
    except (redis.RedisError, ValueError, OSError) as error:
        raise NoRedis(f"The Redis of --redis-url can't be used: {error}") from error
    parts = urlsplit(url)
    return f"yours, {version} at {parts.hostname or parts.path}:{parts.port or 6379}"


def remove(url: str, prefix: str) -> None:
    """Remove every key that begins with *prefix*; a Redis that is gone is left alone."""
    try:
        with _client(url) as client:
            batch: list[bytes] = []
            for key in client.scan_iter(match=f"{prefix}:*", count=BATCH):
                batch.append(key)
                if len(batch) >= BATCH:
                    client.unlink(*batch)
                    batch.clear()
            if batch:
                client.unlink(*batch)
    except (redis.RedisError, OSError):
        return


def _client(url: str) -> redis.Redis:
    return redis.Redis.from_url(
        url, socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=TIMEOUT_SECONDS
    )
