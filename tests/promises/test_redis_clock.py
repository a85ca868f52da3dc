"""When Redis's clock is set an hour forward or back, nothing that was dead comes back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.api_callers import ASKING, INVALID
from tests.support.cluster import Cluster
from tests.support.faketime import RedisWithClock
from tests.support.redis_problems import copied, statuses, told
from tests.support.waiting import wait_for

pytestmark = pytest.mark.session_cache

REPLICAS = 2
HOUR = 3600


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisWithClock]:
    with RedisWithClock(tmp_path) as started:
        yield started


@pytest.fixture
def cluster(server: RedisWithClock, session_cache: str) -> Iterator[Cluster]:
    with Cluster(REPLICAS, redis=server, env=ASKING) as started:
        yield started


def wait_until_ready(cluster: Cluster) -> None:
    for replica in range(REPLICAS):
        cluster.replicas[replica].wait_for_http(f"{cluster.url(replica)}/readyz")


@pytest.mark.parametrize("first", [HOUR, -HOUR], ids=["forward, then right", "back, then right"])
def test_promise_2_a_clock_that_is_set_brings_nothing_back(
    cluster: Cluster, server: RedisWithClock, first: int
) -> None:
    """Set forward, Redis drops what denies tokens; set back, it revives expired sessions."""
    dead: list[str] = []
    for ahead_seconds in (first, 0):
        leaving, staying = cluster.browser(), cluster.browser()
        staying.log_in()
        assert staying.api("/items", replica=1).status_code == 200
        leaving.log_in()
        dead.append(copied(cluster))
        assert statuses(cluster, dead[-1]) == {200}
        assert leaving.log_out().status_code == 200
        assert {s for token in dead for s in statuses(cluster, token)} == {INVALID}
        with told(cluster, "redis_lost_data", "clock was set"):
            server.set_clock(ahead_seconds)
        assert {s for token in dead for s in statuses(cluster, token)} == {INVALID}
        wait_for(
            lambda browser=staying: (  # type: ignore[misc]
                {browser.profile(replica=i).status_code for i in range(REPLICAS)} == {401}
            ),
            "the end of the sessions from before",
        )
        wait_until_ready(cluster)
    newcomer = cluster.browser()
    newcomer.log_in()
    assert newcomer.api("/items").status_code == 200
    assert statuses(cluster, copied(cluster)) == {200}
