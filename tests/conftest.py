"""What holds for the whole test run: the shared Redis and the shared browser."""

from __future__ import annotations

from tests.support.chromium import browser
from tests.support.redis_server import redis_prefix, redis_server

__all__ = ["browser", "redis_prefix", "redis_server"]
