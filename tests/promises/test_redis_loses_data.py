"""When Redis loses what it was told, nothing that was dead comes back, and it is told at once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
import requests

from tests.support.api_callers import ASKING, INVALID, by_introspection, by_token_check
from tests.support.browser_client import FETCH
from tests.support.cluster import EMAIL, PASSWORD, ROOT, TIMEOUT_SECONDS, Cluster
from tests.support.lossy_redis import Backup, evict_all_that_expires
from tests.support.processes import free_port
from tests.support.provider_form import sign_in_at_provider
from tests.support.redis_front import RedisFront
from tests.support.redis_problems import copied, problems, statuses, told
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_for

pytestmark = pytest.mark.session_cache

REPLICAS = 2


@pytest.fixture
def cluster(session_cache: str) -> Iterator[Cluster]:
    with RedisServer() as server, Cluster(REPLICAS, redis=server, env=ASKING) as started:
        yield started


def test_promise_2_a_redis_that_evicts_brings_nothing_back(cluster: Cluster) -> None:
    leaving, staying = cluster.browser(), cluster.browser()
    staying.log_in()
    leaving.log_in()
    dead = copied(cluster)
    old_sign_in = sign_in_at_provider(leaving.at_provider, leaving.authorize_url(), EMAIL, PASSWORD)
    assert leaving.log_out().status_code == 200
    assert statuses(cluster, dead) == {INVALID}
    with told(cluster, "redis_lost_data", "has evicted"):
        assert evict_all_that_expires(cluster.store())
    assert statuses(cluster, dead) == {INVALID}
    wait_for(
        lambda: {staying.profile(replica=i).status_code for i in range(REPLICAS)} == {401},
        "the end of what can't be vouched for",
    )
    for replica in range(REPLICAS):
        cluster.replicas[replica].wait_for_http(f"{cluster.url(replica)}/readyz")
    # The provider's old session is not enough, since an end of all sessions may have been lost.
    assert leaving.come_back(old_sign_in).status_code == 302
    newcomer = cluster.browser()
    newcomer.log_in()
    assert newcomer.api("/items", replica=1).status_code == 200
    assert statuses(cluster, copied(cluster)) == {200}


def test_promise_2_a_demoted_master_is_not_believed(cluster: Cluster) -> None:
    """It has what the new master will have had; ends at that one don't reach it."""
    browser = cluster.browser()
    browser.log_in()
    token = copied(cluster)
    for _ in range(3):  # Cached, where sessions are cached.
        assert {browser.api("/items", replica=i).status_code for i in range(REPLICAS)} == {200}
    with told(cluster, "redis_is_no_master", "Redis is a replica"):
        # The new master can't be reached, so the old one keeps its data.
        cluster.store().replicaof("127.0.0.1", free_port())
        cluster.wait_for_caches()
        for _ in range(20):
            assert {browser.api("/items", replica=i).status_code for i in range(REPLICAS)} == {503}
            assert {way(cluster, token) for way in (by_introspection, by_token_check)} == {503}
    cluster.store().replicaof("NO", "ONE")
    assert {browser.api("/items", replica=i).status_code for i in range(REPLICAS)} == {200}
    assert statuses(cluster, token) == {200}
    for replica in range(REPLICAS):
        cluster.replicas[replica].wait_for_http(f"{cluster.url(replica)}/readyz")


def statuses_of_a_copy(cluster: Cluster, cookie: str | None) -> set[int]:
    """At every process, of a request with a cookie that was copied."""
    headers = FETCH | {"Cookie": f"session={cookie}"}
    urls = [f"{cluster.url(replica)}/api/items" for replica in range(REPLICAS)]
    return {requests.get(url, headers=headers, timeout=TIMEOUT_SECONDS).status_code for url in urls}


def restored(cluster: Cluster, backup: Backup) -> None:
    cluster.redis.stop()
    backup.put_in_place()
    cluster.redis.start_again()


def test_promise_2_a_redis_restored_from_a_backup_brings_nothing_back(
    cluster: Cluster, tmp_path: Path
) -> None:
    """While the processes run: they notice it before they believe anything."""
    leaving, staying = cluster.browser(), cluster.browser()
    staying.log_in()
    leaving.log_in()
    dead, cookie = copied(cluster), leaving.cookie
    backup = Backup(cluster.redis, tmp_path)
    assert leaving.log_out().status_code == 200
    assert statuses_of_a_copy(cluster, cookie) == {401}
    with told(cluster, "redis_lost_data", "gone back in time"):
        restored(cluster, backup)
        seen = statuses_of_a_copy(cluster, cookie)
        seen |= {way(cluster, dead) for way in (by_introspection, by_token_check)}
        # A connection that broke with the restart is an outage.
        assert seen - {503} == {401}, "from the first request on"
    assert statuses(cluster, dead) == {INVALID}
    assert {staying.profile(replica=i).status_code for i in range(REPLICAS)} == {401}
    wait_for(lambda: not cluster.active_refresh_tokens(), "the revocation of those that ended")
    for replica in range(REPLICAS):
        cluster.replicas[replica].wait_for_http(f"{cluster.url(replica)}/readyz")
    newcomer = cluster.browser()
    newcomer.log_in()
    assert newcomer.api("/items", replica=1).status_code == 200
    assert statuses(cluster, copied(cluster)) == {200}


class Address:
    """An address that moves from one server to another."""

    def __init__(self, front: RedisFront) -> None:
        self.url = front.url

    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url, protocol=3)


def test_promise_2_a_failover_to_a_replica_far_behind_brings_nothing_back(
    session_cache: str,
) -> None:
    with (
        RedisServer() as master,
        RedisServer() as replica,
        RedisFront(master.port) as front,
        replica.client() as at_replica,
        Cluster(REPLICAS, redis=Address(front), env=ASKING) as cluster,  # type: ignore[arg-type]
    ):
        at_replica.replicaof("127.0.0.1", master.port)
        wait_for(lambda: at_replica.info("replication")["master_link_status"] == "up", "the link")
        browser = cluster.browser()
        browser.log_in()
        with master.client() as at_master:
            assert at_master.wait(1, 5000) == 1
        at_replica.replicaof("NO", "ONE")
        dead, cookie = copied(cluster), browser.cookie
        assert browser.log_out().status_code == 200
        with told(cluster, "redis_lost_data", "gone back in time"):
            front.lead_to(replica.port)
            assert statuses_of_a_copy(cluster, cookie) == {401}, "from the first request on"
        assert statuses(cluster, dead) == {INVALID}


def test_a_redis_that_was_only_restarted_has_lost_nothing(cluster: Cluster) -> None:
    browser = cluster.browser()
    browser.log_in()
    for stop in (cluster.redis.stop, cluster.redis.kill):
        stop()
        cluster.redis.start_again()
        assert {browser.api("/items", replica=i).status_code for i in range(REPLICAS)} == {200}
        assert statuses(cluster, copied(cluster)) == {200}
        assert [problems(cluster, i) for i in range(REPLICAS)] == [[]] * REPLICAS


def test_the_restore_procedure_of_the_documents(cluster: Cluster, tmp_path: Path) -> None:
    """docs/deploy.md, Restoring a backup: no process runs that could notice it."""
    leaving, staying = cluster.browser(), cluster.browser()
    staying.log_in()
    leaving.log_in()
    dead, cookie = copied(cluster), leaving.cookie
    backup = Backup(cluster.redis, tmp_path)
    leaving.log_out()
    for process in cluster.replicas:
        process.stop()
    # So that a process that starts later knows that none was killed.
    assert cluster.store().zrange(f"{cluster.prefix}:{{born_at}}:marks", -1, -1) == [b"left"]
    restored(cluster, backup)
    done = subprocess.run(
        [sys.executable, "-m", "bff", "sessions", "end", "--everyone", "--reason", "restored"],
        env=cluster.environment() | {"PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.stdout.startswith("2 ended"), done.stderr
    for port in cluster.ports:
        cluster.start_replica(port)
    assert statuses_of_a_copy(cluster, cookie) == {401}
    assert statuses_of_a_copy(cluster, staying.cookie) == {401}
    assert statuses(cluster, dead) == {INVALID}
    newcomer = cluster.browser()
    newcomer.log_in()
    assert statuses(cluster, copied(cluster)) == {200}
    wait_for(lambda: cluster.active_refresh_tokens() == 1, "the revocation of the others")
