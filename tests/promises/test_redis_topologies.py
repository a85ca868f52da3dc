"""Do the promises hold on Redis Sentinel and on a Redis Cluster, and what does a failover cost?"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from threading import Thread
from typing import Any

import pytest

from bff.core.errors import StoreUnavailable
from bff.store.connection import Database, Script
from bff.store.redis_clients import make_client
from tests.support.ageing import age_access_token
from tests.support.browser_client import BrowserClient
from tests.support.cluster import Cluster
from tests.support.processes import Process, free_port
from tests.support.redis_topology import RedisCluster, Sentinels, Topology
from tests.support.scale import rounds
from tests.support.storm import Shot, fire
from tests.support.waiting import answered, wait_for

pytestmark = pytest.mark.session_cache

REPLICAS = 2
TIMEOUT = 1.5
"""For one command; shorter stalls of the machine have no effect."""
SET = Script("return redis.call('SET', KEYS[1], ARGV[1])")
ACKNOWLEDGED = 4
RECOVERY = 10
"""Seconds from the promotion of a replica until every process serves again."""

REQUESTS = rounds(full=200, reduced=60)


@pytest.fixture(scope="module", params=[Sentinels, RedisCluster], ids=["sentinel", "cluster"])
def topology(request: pytest.FixtureRequest, session_cache: str) -> Iterator[Topology]:
    """New for each setting of the cache, since the failover leaves a killed server behind."""
    with request.param() as started:
        yield started


@pytest.fixture(scope="module")
def cluster(topology: Topology, session_cache: str) -> Iterator[Cluster]:
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
    wait_for(lambda: not cluster.active_refresh_tokens(), "the revocation")


def test_promise_4_a_storm_spends_one_refresh_token(cluster: Cluster) -> None:
    browser = cluster.browser()
    browser.log_in()
    age_access_token(cluster, browser.cookie, 0)
    before = cluster.counts()
    shots = [
        Shot(cluster.ports[i % REPLICAS], "/api/items", browser.cookie or "")
        for i in range(REQUESTS)
    ]
    assert Counter(response.status for response in fire(shots)) == {200: REQUESTS}
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
    wait_for(lambda: not cluster.active_refresh_tokens(), "the revocation of all")


@pytest.mark.parametrize("topology", [Sentinels], ids=["sentinel"], indirect=True, scope="module")
def test_the_master_tells_each_replica_what_has_changed(
    cluster: Cluster, session_cache: str
) -> None:
    expected = REPLICAS if session_cache == "cache on" else 0
    wait_for(lambda: cluster.tracking_connections() == expected, f"{expected} such connections")


def test_promise_5_a_failover_is_not_a_logout(cluster: Cluster, topology: Topology) -> None:
    """Nothing that a replica has acknowledged is lost, and every process serves again.

    A sign-in doesn't wait for a replica, so a session from the instant of the failover may be lost;
    it is counted. An end does wait. The counts are printed (`pytest -s`).
    """
    before, during = Tally(), Tally()
    staying = [cluster.browser() for _ in range(ACKNOWLEDGED)]
    leaving = [cluster.browser() for _ in range(ACKNOWLEDGED)]
    for browser in (*staying, *leaving):
        browser.log_in()
    assert [browser.log_out().status_code for browser in leaving] == [200] * ACKNOWLEDGED
    before.signed_in += staying
    before.signed_out += leaving
    refresh_tokens = len(cluster.issued("refresh_token"))
    topology.let_replicas_follow()
    with traffic(staying[0]) as statuses, coming_and_going(cluster, during):
        wait_for(lambda: len(statuses) > 5, "traffic")
        topology.fail_over()
        promoted_at = time.monotonic()
        wait_for(lambda: statuses[-10:] == [200] * 10, "responses after the failover", RECOVERY)
        # Every process reads and writes: a sign-in and an end.
        for replica in range(REPLICAS):
            browser = cluster.browser()
            log_in_at_last(browser, replica)
            assert answered(lambda b=browser, r=replica: b.log_out(replica=r)) == 200  # type: ignore[misc]
        # Not later: the end of the traffic waits for a logout that has just begun.
        took = time.monotonic() - promoted_at
    print(f"\nserved again {took:.1f} s after the promotion: {Counter(statuses)}")
    assert took < RECOVERY
    assert set(statuses) <= {200, 503}, Counter(statuses)
    print(f"before: {before}\nduring: {during}")
    assert during.signed_in and during.signed_out
    assert before.lost_sessions() == before.lost_ends() == during.lost_ends() == 0
    for tally in (before, during):
        assert {answered(b.log_out) for b in tally.signed_in} == {200}
    wait_for(
        lambda: (
            not any(
                token["state"] == "active"
                for token in cluster.issued("refresh_token")[:refresh_tokens]
            )
        ),
        "the revocation of all from before the failover",
        30,
    )


@pytest.fixture(scope="module")
def nodes() -> Iterator[RedisCluster]:
    with RedisCluster() as started:
        yield started


@pytest.fixture
def database(nodes: RedisCluster) -> Iterator[Database]:
    """As in one process: an end waits for one replica; the slots are known."""
    client = make_client(nodes.url, TIMEOUT)
    database = Database(client, "cluster", wait_replicas=1, timeout_seconds=TIMEOUT)
    # On a busy machine the first command may come before that.
    wait_for(lambda: serves(database), "the map of the slots")
    yield database
    client.close()


def test_an_end_waits_for_the_replicas_of_a_cluster(
    nodes: RedisCluster, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[Any] = [([f"{{{n}}}"], [str(n)]) for n in range(20)]
    assert database.run_many(SET, calls, safely=True) == [b"OK"] * 20
    assert not caplog.records
    with paused(nodes, nodes.replicas()):
        assert database.run_many(SET, calls, safely=True) == [b"OK"] * 20
    assert caplog.messages == ["only 0 of 1 replicas have it"]


def test_a_cluster_that_hangs_costs_each_caller_one_time_out(
    nodes: RedisCluster, database: Database
) -> None:
    """With any number of concurrent requests, with the slot map or without it."""
    stranger = Database(make_client(nodes.url, TIMEOUT), "cluster", timeout_seconds=TIMEOUT)
    with paused(nodes, list(nodes.servers)):
        took = [seconds_refused(each) for each in (database, stranger) for _ in range(2)]
        took += seconds_refused_together(database, 8) + seconds_refused_together(stranger, 8)
    assert max(took) < 2 * TIMEOUT, took
    for each in (database, stranger):
        wait_for(lambda each=each: serves(each), "a response once the nodes continue")  # type: ignore[misc]
    stranger.client.close()


def test_a_process_starts_without_its_cluster(cluster: Cluster, nodes: RedisCluster) -> None:
    port = free_port()
    command = [sys.executable, "-m", "bff", "serve", "--port", str(port)]
    env = cluster.environment() | {"REDIS_URL": nodes.url}
    with paused(nodes, list(nodes.servers)):
        process = Process(command, name=f"bff:{port}", env=env)
        with ExitStack() as stack:
            stack.enter_context(process)
            process.wait_for_http(f"http://127.0.0.1:{port}/healthz")
            process.wait_for_http(f"http://127.0.0.1:{port}/readyz", status=503)
            open_connections = stack.pop_all()
    with open_connections:
        process.wait_for_http(f"http://127.0.0.1:{port}/readyz")


def test_a_failed_node_affects_its_own_keys_only() -> None:
    """Also if it is redis-py's "default node", which gets commands without a key."""
    with RedisCluster() as nodes:
        failed = nodes.owner_of("{3560}")  # Slot 0 is the first in the map.
        keys = [f"{{{n}}}" for n in range(40)]
        other_keys: list[Any] = [([key], ["1"]) for key in keys if nodes.owner_of(key) != failed]
        database = Database(make_client(nodes.url, TIMEOUT), "cluster", timeout_seconds=TIMEOUT)
        wait_for(lambda: serves(database), "the map of the slots")
        assert database.run_many(SET, other_keys) == [b"OK"] * len(other_keys)
        nodes.servers[failed].kill()
        assert database.run_many(SET, other_keys) == [b"OK"] * len(other_keys)
        wait_for(lambda: all(serves(database, key) for key in keys), "all keys", RECOVERY)
        database.client.close()


def test_a_slot_on_its_way_to_another_node(nodes: RedisCluster, database: Database) -> None:
    """Its keys are found, moved (`ASK`) or not."""
    here, there = nodes.masters()[:2]
    key = next(f"{{{n}}}" for n in range(999) if nodes.owner_of(f"{{{n}}}") == here)
    slot = nodes.command(here, "CLUSTER KEYSLOT", key)
    names = {port: nodes.command(port, "CLUSTER MYID") for port in (here, there)}
    assert database.run(SET, [key], "stays") == b"OK"
    nodes.command(there, "CLUSTER SETSLOT", slot, "IMPORTING", names[here])
    nodes.command(here, "CLUSTER SETSLOT", slot, "MIGRATING", names[there])
    assert database.command("GET", key) == b"stays"
    assert database.run(SET, [key + "new"], "moved") == b"OK"
    found = nodes.command(here, "CLUSTER GETKEYSINSLOT", slot, 100)
    assert [name for name in found if name.startswith(key.encode())] == [key.encode()]
    nodes.command(here, "MIGRATE", "127.0.0.1", there, key, 0, 1000)
    for port in (there, here):
        nodes.command(port, "CLUSTER SETSLOT", slot, "NODE", names[there])
    assert database.commands(("GET", key), ("GET", key + "new")) == [b"stays", b"moved"]


def serves(database: Database, key: str = "key") -> bool:
    try:
        return bool(database.run(SET, [key], "1") == b"OK")
    except StoreUnavailable:
        return False


def seconds_refused(database: Database) -> float:
    began_at = time.monotonic()
    with pytest.raises(StoreUnavailable):
        database.run(SET, ["key"], "1")
    return time.monotonic() - began_at


def seconds_refused_together(database: Database, callers: int) -> list[float]:
    with ThreadPoolExecutor(callers) as pool:
        return list(pool.map(lambda _: seconds_refused(database), range(callers)))


class Tally:
    """Browsers whose sign-in, or whose logout, was acknowledged."""

    def __init__(self) -> None:
        self.signed_in: list[BrowserClient] = []
        self.signed_out: list[BrowserClient] = []

    def lost_sessions(self) -> int:
        return [answered(browser.profile) for browser in self.signed_in].count(401)

    def lost_ends(self) -> int:
        return [answered(browser.profile) for browser in self.signed_out].count(200)

    def __str__(self) -> str:
        sessions, ends = len(self.signed_in), len(self.signed_out)
        lost, undone = self.lost_sessions(), self.lost_ends()
        return (
            f"{sessions} sessions, kept {sessions - lost}, lost {lost}; "
            f"{ends} ends, kept {ends - undone}, lost {undone}"
        )


@contextmanager
def coming_and_going(cluster: Cluster, tally: Tally) -> Iterator[None]:
    """Sign in at every process until the block ends; every second session signs out again."""
    going = True

    def run(replica: int) -> None:
        stays = True
        while going:
            browser = cluster.browser()
            if not logged_in(browser, replica):
                continue
            stays = not stays
            if stays:
                tally.signed_in.append(browser)
            elif browser.log_out(replica=replica).status_code == 200:
                tally.signed_out.append(browser)

    threads = [Thread(target=run, args=(i,)) for i in range(REPLICAS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        going = False
        for thread in threads:
            thread.join()


def logged_in(browser: BrowserClient, replica: int) -> bool:
    """Whether a sign-in was acknowledged; during a failover it may not be."""
    try:
        return browser.log_in(replica=replica).status_code == 303
    except AssertionError as refused:
        assert "503" in str(refused)
        return False


def log_in_at_last(browser: BrowserClient, replica: int) -> None:
    wait_for(lambda: logged_in(browser, replica), "a sign-in after the failover", RECOVERY)


@contextmanager
def paused(nodes: RedisCluster, ports: list[int]) -> Iterator[None]:
    for port in ports:
        nodes.servers[port].pause()
    try:
        yield
    finally:
        for port in ports:
            nodes.servers[port].resume()
        nodes.wait_until_healthy()


@contextmanager
def traffic(browser: BrowserClient) -> Iterator[list[int]]:
    """Send requests to all replicas until the block ends; yields their statuses."""
    statuses: list[int] = []
    going = True

    def run(replica: int) -> None:
        while going:
            statuses.append(browser.api("/items", replica=replica).status_code)
            time.sleep(0.01)  # A pause, so that the list stays short.

    threads = [Thread(target=run, args=(i,)) for i in range(REPLICAS)]
    for thread in threads:
        thread.start()
    try:
        yield statuses
    finally:
        going = False
        for thread in threads:
            thread.join()
