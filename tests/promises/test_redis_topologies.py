"""The promises on Redis Sentinel and on a Redis Cluster, and what a failover costs."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

import pytest
import requests

from tests.support.ageing import age_access_token
from tests.support.browser_client import BrowserClient
from tests.support.cluster import Cluster
from tests.support.redis_topology import RedisCluster, Sentinels, Topology
from tests.support.scale import rounds
from tests.support.storm import Shot, fire
from tests.support.waiting import wait_for

pytestmark = pytest.mark.memory

REPLICAS = 2
REQUESTS = rounds(full=200, reduced=60)


@pytest.fixture(scope="module", params=[Sentinels, RedisCluster], ids=["sentinel", "cluster"])
def topology(request: pytest.FixtureRequest) -> Iterator[Topology]:
    with request.param() as started:
        yield started


@pytest.fixture(scope="module")
def cluster(topology: Topology, session_memory: str) -> Iterator[Cluster]:
    env = {"BFF_REDIS_WAIT_REPLICAS": "1"}
    with Cluster(REPLICAS, redis=topology, env=env) as started:  # type: ignore[arg-type]
        yield started


def test_sign_in_and_logout(cluster: Cluster) -> None:
    browser = cluster.browser()
    browser.log_in()
    assert browser.api("/items", replica=1).status_code == 200
    assert len(browser.fetch("GET", "/auth/sessions").json()["sessions"]) == 1
    assert browser.log_out(replica=1).status_code == 200
    assert browser.profile().status_code == 401
    wait_for(lambda: not alive(cluster), "the revocation")


def test_promise_4_a_storm_spends_one_refresh_token(cluster: Cluster) -> None:
    browser = cluster.browser()
    browser.log_in()
    age_access_token(cluster, browser.cookie, 0)
    before = cluster.counts()
    shots = [
        Shot(cluster.ports[i % REPLICAS], "/api/items", browser.cookie or "")
        for i in range(REQUESTS)
    ]
    assert Counter(answer.status for answer in fire(shots)) == {200: REQUESTS}
    asked = Counter(cluster.counts()) - Counter(before)
    assert asked["token.refresh_token.ok"] == 1
    browser.log_out()


def test_promise_2_all_others_end_in_one_call(cluster: Cluster) -> None:
    browsers = [cluster.browser() for _ in range(3)]
    for browser in browsers:
        browser.log_in()
    assert browsers[0].fetch("DELETE", "/auth/sessions").json() == {"ended": 2}
    assert [browser.profile(replica=1).status_code for browser in browsers] == [200, 401, 401]
    browsers[0].log_out()
    wait_for(lambda: not alive(cluster), "the revocation of all")


@pytest.mark.parametrize("topology", [Sentinels], ids=["sentinel"], indirect=True, scope="module")
def test_the_master_tells_each_replica_what_has_changed(
    cluster: Cluster, session_memory: str
) -> None:
    told = [client for client in cluster.store().client_list() if "t" in client["flags"]]
    assert len(told) == (REPLICAS if session_memory == "memory on" else 0)


@pytest.mark.parametrize("topology", [Sentinels], ids=["sentinel"], indirect=True, scope="module")
def test_promise_5_a_failover_is_not_a_logout(cluster: Cluster, topology: Topology) -> None:
    """Sessions and ends from before it, acknowledged by a replica, are there after it.

    Under Sentinel. A cluster's failover is not shown: in one of eight runs a process went on
    answering 503 for more than half a minute (README, limits).
    """
    staying, leaving = [cluster.browser() for _ in range(4)], cluster.browser()
    for browser in (*staying, leaving):
        browser.log_in()
    assert leaving.log_out().status_code == 200
    let_replicas_follow(topology)
    with traffic(staying[0]) as statuses:
        wait_for(lambda: len(statuses) > 5, "traffic")
        topology.fail_over()
        wait_for(lambda: statuses[-5:] == [200] * 5, "answers after the failover", 30)
    assert set(statuses) <= {200, 503}, Counter(statuses)
    assert [answered(browser.profile) for browser in staying] == [200] * 4
    assert answered(leaving.profile) == 401
    assert [answered(browser.log_out) for browser in staying] == [200] * 4
    wait_for(lambda: not alive(cluster), "the revocation of all after the failover", 30)


def answered(ask: Callable[[], requests.Response]) -> int:
    """The status once it isn't 503 any more: some keys may be on their way to another node."""
    statuses: list[int] = []

    def asked() -> bool:
        statuses.append(ask().status_code)
        return statuses[-1] != 503

    wait_for(asked, "an answer after the failover", 30)
    return statuses[-1]


def alive(cluster: Cluster) -> list[object]:
    return [t for t in cluster.issued("refresh_token") if t["state"] == "active"]


def let_replicas_follow(topology: Topology) -> None:
    """What is acknowledged by no replica may be lost by a failover; this is about the rest."""
    for port in topology.servers:
        info: Any = topology.client(port).info()
        if info["redis_mode"] != "sentinel" and info["role"] == "master":
            assert topology.command(port, "WAIT", 1, 2000) >= 1


@contextmanager
def traffic(browser: BrowserClient) -> Iterator[list[int]]:
    """Requests to all replicas until the block ends; their statuses."""
    statuses: list[int] = []
    going = True

    def run(replica: int) -> None:
        while going:
            statuses.append(browser.api("/items", replica=replica).status_code)
            time.sleep(0.01)  # A pace, so that the list stays readable.

    threads = [Thread(target=run, args=(i,)) for i in range(REPLICAS)]
    for thread in threads:
        thread.start()
    try:
        yield statuses
    finally:
        going = False
        for thread in threads:
            thread.join()
