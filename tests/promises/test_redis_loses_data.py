"""When Redis loses what it was told, nothing that was dead comes back, and it is told at once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.api_callers import ASKING, INVALID, by_introspection, by_token_check
from tests.support.cluster import EMAIL, PASSWORD, Cluster
from tests.support.lossy_redis import evict_all_that_expires
from tests.support.processes import free_port
from tests.support.provider_form import sign_in_at_provider
from tests.support.redis_problems import copied, statuses, told
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_for

pytestmark = pytest.mark.session_cache

REPLICAS = 2


@pytest.fixture
def cluster(session_cache: str) -> Iterator[Cluster]:
    with RedisServer() as server, Cluster(REPLICAS, redis=server, env=ASKING) as started:
        yield started


def test_a_redis_that_evicts_brings_nothing_back(cluster: Cluster) -> None:
    leaving, staying = cluster.browser(), cluster.browser()
    staying.log_in()
    leaving.log_in()
    dead = copied(cluster)
    old_sign_in = sign_in_at_provider(leaving.at_provider, leaving.authorize_url(), EMAIL, PASSWORD)
    assert leaving.log_out().status_code == 200
    assert statuses(cluster, dead) == {INVALID}
    with told(cluster, "redis_evicted", "has evicted"):
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


def test_a_demoted_master_is_not_believed(cluster: Cluster) -> None:
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
