"""Promise 3: a process that ends while Redis is away has its tokens revoked."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tests.support.ageing import age_access_token
from tests.support.cluster import Cluster
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_for

TIMEOUTS = {"BFF_PROVIDER_TIMEOUT_SECONDS": "10", "BFF_REDIS_TIMEOUT_SECONDS": "1"}


def test_promise_3_a_graceful_stop_revokes_what_redis_did_not_take() -> None:
    with (
        RedisServer() as server,
        Cluster(redis=server, env=TIMEOUTS) as cluster,
        ThreadPoolExecutor() as pool,
    ):
        browser = cluster.browser()
        browser.log_in()
        age_access_token(cluster, browser.cookie, 0)
        asked = cluster.counts().get("token", 0)
        cluster.control("POST", "faults", endpoint="token", times=1, do="delay", seconds=1.5)
        response = pool.submit(browser.api, "/items")
        wait_for(lambda: cluster.counts().get("token", 0) > asked, "the refresh")
        server.stop()
        assert response.result().status_code == 503
        assert cluster.active_refresh_tokens() == 1, "only the process has the new one"
        cluster.replicas[0].stop()
        assert cluster.active_refresh_tokens() == 0
