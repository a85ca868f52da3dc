"""Promise 2 with the session cache at every replica, even if notices of changes don't arrive.

The API doesn't check the deny-list here: its refusal would hide that a request got through.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import redis

from tests.support.cluster import Cluster
from tests.support.logout_race import REPLICAS, race_rounds
from tests.support.processes import free_port
from tests.support.redis_front import RedisFront
from tests.support.scale import CACHE, cache_environment, rounds
from tests.support.storm import Shot, fire
from tests.support.waiting import wait_for

REQUESTS = 20
LONG_LEASE = "2000"
"""Long, so that a logout that doesn't wait for it is much faster, even on a busy machine."""
CUT_EVERY_SECONDS = (0.05, 0.4)


def test_promise_2_holds_while_tracking_connections_are_closed() -> None:
    env = cache_environment(CACHE["cache on"])
    settings = {"overlap_seconds": 5}
    with Cluster(REPLICAS, provider=settings, env=env, api_asks=False) as cluster:
        with cutting(cluster) as cuts:
            race_rounds(cluster, rounds(full=1000, reduced=15))
        assert len(cuts) > 5


@contextmanager
def cutting(cluster: Cluster) -> Iterator[list[str]]:
    """Close tracking connections at random instants; yields the ids of those that were closed."""
    store, stop, chance = cluster.store(), threading.Event(), random.Random(1)  # noqa: S311
    cuts: list[str] = []

    def cut() -> None:
        while not stop.wait(chance.uniform(*CUT_EVERY_SECONDS)):
            if tracking := tracking_connections(store):
                cuts.append(chance.choice(tracking))
                store.client_kill_filter(_id=cuts[-1])

    thread = threading.Thread(target=cut)
    thread.start()
    try:
        yield cuts
    finally:
        stop.set()
        thread.join()


def test_promise_2_holds_at_a_replica_without_notices_of_changes() -> None:
    with (
        Cluster(env=cache_environment(LONG_LEASE), api_asks=False) as cluster,
        RedisFront(cluster.redis.port) as front,
    ):
        cut_off = free_port()
        cluster.start_replica(cut_off, REDIS_URL=front.url)
        for _ in range(rounds(full=50, reduced=1)):
            browser = cluster.browser()
            browser.log_in()
            wait_for(lambda: len(tracking_connections(cluster.store())) == 2, "both connections")
            cookie = browser.cookie or ""
            wait_for(lambda: served_from_cache(cluster, cut_off, cookie), "it is cached")  # noqa: B023
            front.withhold()
            assert browser.log_out().status_code == 200
            assert statuses(cut_off, cookie) == {401}
            front.release()


def tracking_connections(store: redis.Redis) -> list[str]:
    """The ids of the tracking connections in Redis."""
    return [client["id"] for client in store.client_list() if "t" in client["flags"]]


def served_from_cache(cluster: Cluster, port: int, cookie: str) -> bool:
    """Whether requests run no script in Redis; reading a session would."""
    store = cluster.store()
    before = store.info("commandstats")["cmdstat_evalsha"]["calls"]
    assert statuses(port, cookie) == {200}
    return bool(store.info("commandstats")["cmdstat_evalsha"]["calls"] == before)


def statuses(port: int, cookie: str) -> set[int]:
    """The statuses of many requests with this cookie."""
    return {response.status for response in fire([Shot(port, "/api/items", cookie)] * REQUESTS)}
