"""When any node of a Redis Cluster has lost what it was told, nothing that was dead comes back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import psutil
import pytest
import requests

from bff.core.errors import StoreUnavailable
from bff.store.redis_watch import RedisWatch
from tests.support.ageing import record_name
from tests.support.api_callers import ASKING, INVALID, by_introspection, by_token_check
from tests.support.bench import Bench, config_for
from tests.support.browser_client import FETCH, BrowserClient
from tests.support.cluster import TIMEOUT_SECONDS, Cluster
from tests.support.redis_problems import TOLD_SECONDS, copied, told
from tests.support.redis_topology import RedisCluster
from tests.support.waiting import wait_for

REPLICAS = 2


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisCluster]:
    with RedisCluster() as started:
        yield started


@pytest.fixture(scope="module")
def cluster(redis: RedisCluster) -> Iterator[Cluster]:
    # As docs/deploy.md has it: what a replica hasn't confirmed is missed, too.
    env = ASKING | {"BFF_REDIS_WAIT_REPLICAS": "1"}
    with Cluster(REPLICAS, redis=redis, env=env) as started:  # type: ignore[arg-type]
        yield started


def signed_in_elsewhere(cluster: Cluster, redis: RedisCluster, port: int) -> BrowserClient:
    """Its session is on another node than that one."""
    while True:
        browser = cluster.browser()
        browser.log_in()
        if redis.owner_of(record_name(cluster, browser.cookie)) != port:
            return browser


def newest_mark(cluster: Cluster, redis: RedisCluster, port: int) -> float:
    node: Any = redis.client(port)
    names = list(node.scan_iter(f"{cluster.prefix}:node-marks:*", count=1000))
    return max((score for n in names for _, score in node.zrange(n, 0, -1, withscores=True)),
               default=0)  # fmt: skip


def replica_of(redis: RedisCluster, master: int) -> int:
    info: Any = redis.client(master).info("replication")
    return int(info["slave0"]["port"])


def test_a_node_that_hands_over_is_no_trouble(redis: RedisCluster) -> None:
    """A planned failover, as at an upgrade; nothing but the watch asks that node."""
    bench = Bench(config_for(redis, "planned"))  # type: ignore[arg-type]
    watch = bench.services.redis_watch
    wait_for(lambda: is_looked_at(watch), "the map of the slots")
    idle = next(
        port for port in redis.masters() if port != redis.owner_of(bench.database.keys.marks())
    )
    redis.command(replica_of(redis, idle), "CLUSTER", "FAILOVER")
    wait_for(lambda: redis.client(idle).role()[0] == b"slave", "the failover")
    redis.wait_until_healthy()
    watch.look()
    assert (watch.is_sound(), watch.problems()) == (True, [])
    bench.database.client.close()


def is_looked_at(watch: RedisWatch) -> bool:
    with suppress(StoreUnavailable):
        watch.look()
        return True
    return False


def test_promise_2_a_failover_of_any_node_to_one_far_behind_brings_nothing_back(
    redis: RedisCluster, cluster: Cluster
) -> None:
    leaving = signed_in_elsewhere(
        cluster, redis, redis.owner_of(f"{cluster.prefix}:{{born_at}}:marks")
    )
    dead, cookie = copied(cluster), leaving.cookie
    master = redis.owner_of(record_name(cluster, cookie))
    replica = replica_of(redis, master)
    redis.let_replicas_follow()
    stopped = psutil.Process(redis.servers[replica].pid)
    stopped.suspend()
    redis.command(master, "CLIENT", "KILL", "TYPE", "replica")
    assert leaving.log_out().status_code == 200
    left_at = time.time() * 1000
    wait_for(lambda: newest_mark(cluster, redis, master) > left_at, "a mark at the master")
    assert {way(cluster, dead) for way in (by_introspection, by_token_check)} == {INVALID}
    with told(cluster, "redis_lost_data", "gone back in time"):
        redis.servers[master].kill()
        stopped.resume()
        redis.command(replica, "CLUSTER", "FAILOVER", "TAKEOVER")
    headers = FETCH | {"Cookie": f"session={cookie}"}
    urls = [f"{cluster.url(i)}/api/items" for i in range(REPLICAS)]

    def seen() -> set[int]:
        return {requests.get(u, headers=headers, timeout=TIMEOUT_SECONDS).status_code for u in urls}

    # Each process looks once a second.
    wait_for(lambda: seen() == {401}, "the end of what can't be vouched for", TOLD_SECONDS)
    assert {way(cluster, dead) for way in (by_introspection, by_token_check)} == {INVALID}
    for url, process in zip(urls, cluster.replicas, strict=True):
        process.wait_for_http(url.replace("/api/items", "/readyz"))
    newcomer = cluster.browser()
    newcomer.log_in()
    assert {newcomer.api("/items", replica=i).status_code for i in range(REPLICAS)} == {200}
