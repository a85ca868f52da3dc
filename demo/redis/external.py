"""How does the demo use the user's own Redis without leaving keys there?"""

from __future__ import annotations

from urllib.parse import urlsplit

import redis

from demo.redis.embedded import NoRedis

TIMEOUT_SECONDS = 3
BATCH = 500


def check(url: str) -> str:
    """Check that it responds.

    Returns:
        A description without the password.

    Raises:
        NoRedis: It doesn't respond, or the URL is invalid.
    """
    try:
        with _client(url) as client:
            version = client.info("server")["redis_version"]
    except (redis.RedisError, ValueError, OSError) as error:
        raise NoRedis(f"The Redis of --redis-url can't be used: {error}") from error
    parts = urlsplit(url)
    return f"yours, {version} at {parts.hostname or parts.path}:{parts.port or 6379}"


def remove(url: str, prefix: str) -> None:
    """Remove every key that begins with *prefix*; does nothing if Redis is unreachable."""
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
