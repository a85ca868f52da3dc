"""A probe gets its answer in time, whatever Redis does."""

from __future__ import annotations

import time

from bff import create_app
from bff.app.factory import BACKGROUND
from bff.machine_api.health import READY_WAIT_SECONDS
from tests.support.application import stop
from tests.support.bench import config_for
from tests.support.redis_front import RedisFront
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_for

DELAY_SECONDS = READY_WAIT_SECONDS
SLACK_SECONDS = 1


def test_readyz_is_bounded_while_each_reply_comes_just_in_time(
    redis_server: RedisServer, redis_prefix: str
) -> None:
    """No command times out, and all that is asked together takes long."""
    with RedisFront(redis_server.port) as front:
        app = create_app(config_for(redis_server, redis_prefix, REDIS_URL=front.url))
        for background in app.extensions[BACKGROUND]:
            background.stop()  # What looks at Redis is the probe alone.
        probe = app.test_client()

        def is_redis_ready() -> bool:
            return bool(probe.get("/readyz").get_json()["checks"]["redis"])

        wait_for(is_redis_ready, "Redis is ready")
        front.delay(DELAY_SECONDS)
        began_at = time.monotonic()
        response = probe.get("/readyz")
        assert time.monotonic() - began_at < READY_WAIT_SECONDS + SLACK_SECONDS
        assert (response.status_code, response.get_json()["checks"]["redis"]) == (503, False)
        front.delay(0)
        wait_for(is_redis_ready, "Redis is ready again")
        stop(app)
