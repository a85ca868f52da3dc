"""When Redis loses what it was told, nothing that was dead comes back, and it is told at once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import requests

from tests.support.api_callers import ASKING, INVALID, WAYS
from tests.support.cluster import EMAIL, PASSWORD, Cluster
from tests.support.lossy_redis import evict_all_that_expires
from tests.support.provider_form import sign_in_at_provider
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_for

pytestmark = pytest.mark.session_cache

REPLICAS = 2
TOLD_SECONDS = 5
"""How soon the log and `/readyz` tell of it."""


@pytest.fixture
def cluster(session_cache: str) -> Iterator[Cluster]:
    with RedisServer() as server, Cluster(REPLICAS, redis=server, env=ASKING) as started:
        yield started


def copied(cluster: Cluster) -> str:
    """The access token that the provider issued last."""
    newest: str = cluster.issued("access_token")[-1]["value"]
    return newest


def statuses(cluster: Cluster, access_token: str) -> set[int]:
    return {way(cluster, access_token) for way in WAYS}


def problems(cluster: Cluster, replica: int) -> list[str]:
    response = requests.get(f"{cluster.url(replica)}/readyz", timeout=TOLD_SECONDS)
    said = response.json()
    found: list[str] = said.get("problems", [])
    assert response.status_code == (200 if said["checks"]["redis"] else 503)
    return found if response.status_code == 503 else []


@contextmanager
def told(cluster: Cluster, problem: str, in_the_log: str) -> Iterator[None]:
    """Each process tells of what happens in the block: one in its log, all on `/readyz`."""
    assert all(problem not in problems(cluster, i) for i in range(REPLICAS))
    yield
    began = time.monotonic()
    wait_for(
        lambda: (
            any(problem in problems(cluster, i) for i in range(REPLICAS))
            and any("ERROR" in p.output and in_the_log in p.output for p in cluster.replicas)
        ),
        f"{problem} on /readyz and in the log",
    )
    assert time.monotonic() - began < TOLD_SECONDS


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
