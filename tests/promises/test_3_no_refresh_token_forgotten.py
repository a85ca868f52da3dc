"""Promise 3: every refresh token is in a live session, or revoked, or waits in the outbox."""

from __future__ import annotations

import time
from collections.abc import Iterator
from threading import Thread

import pytest

from tests.support.ageing import age_access_token, run_out
from tests.support.cluster import Cluster
from tests.support.waiting import wait_for

pytestmark = pytest.mark.session_cache

REPLICAS = 3
PROVIDER_TIMEOUT_SECONDS = 4.0


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    env = {"BFF_PROVIDER_TIMEOUT_SECONDS": str(PROVIDER_TIMEOUT_SECONDS)}
    with Cluster(REPLICAS, env=env) as started:
        yield started


def all_dead(cluster: Cluster) -> bool:
    return cluster.active_refresh_tokens() == 0 and not cluster.keys("{outbox}:entry")


@pytest.mark.parametrize(
    "fault",
    [
        {"do": "status", "status": 503},
        {"do": "status", "status": 429, "headers": {"Retry-After": "1"}},
        {"do": "hang"},
        {"do": "drop_before"},
        {"do": "drop_after"},
    ],
    ids=["503", "429", "hang", "drop_before", "drop_after"],
)
def test_promise_3_a_logout_while_the_provider_fails_is_completed_later(
    cluster: Cluster, fault: dict[str, object]
) -> None:
    browser = cluster.browser()
    browser.log_in()
    cluster.control("POST", "faults", endpoint="revoke", times=1000, **fault)
    began = time.monotonic()
    assert browser.log_out().status_code == 200
    # One try, and a margin for a slow machine.
    assert time.monotonic() - began < 2 * PROVIDER_TIMEOUT_SECONDS
    assert browser.profile(replica=1).status_code == 401
    assert len(cluster.keys("{outbox}:entry")) == 1
    assert len(cluster.keys("tombstone")) == 1
    cluster.control("DELETE", "faults")
    wait_for(lambda: all_dead(cluster), "the revocation after the provider's return", 15)
    assert cluster.keys("tombstone") == []


def test_promise_3_a_session_that_times_out_is_revoked(cluster: Cluster) -> None:
    browser = cluster.browser()
    browser.log_in()
    run_out(cluster, browser.cookie)
    assert browser.profile().status_code == 401
    wait_for(lambda: all_dead(cluster), "the sweep", 30)
    assert cluster.keys("session") == []


def test_promise_3_a_restart_of_all_replicas_goes_on_with_the_outbox(cluster: Cluster) -> None:
    browser = cluster.browser()
    browser.log_in()
    cluster.control("POST", "faults", endpoint="revoke", times=1000, do="status", status=503)
    browser.log_out()
    for replica in cluster.replicas:
        replica.kill()
    cluster.control("DELETE", "faults")
    assert cluster.active_refresh_tokens() == 1
    cluster.start_replica(cluster.ports[0])
    wait_for(lambda: all_dead(cluster), "the drain after a restart", 30)


def test_promise_3_a_rotation_that_meets_a_logout_is_revoked_too(cluster: Cluster) -> None:
    """The provider's response to a refresh is slow; meanwhile the user signs out elsewhere."""
    browser = cluster.browser()
    browser.log_in()
    age_access_token(cluster, browser.cookie, 0)
    fault = {"grant_type": "refresh_token", "do": "hang"}
    cluster.control("POST", "faults", endpoint="token", times=1, **fault)
    statuses: list[int] = []
    thread = Thread(target=lambda: statuses.append(browser.api("/items").status_code))
    thread.start()
    wait_for(lambda: len(cluster.issued("refresh_token")) == 2, "the rotation")
    assert browser.log_out(replica=1).status_code == 200
    cluster.control("DELETE", "faults")  # Now the response arrives, for a session that has ended.
    thread.join()
    assert statuses == [401]
    wait_for(lambda: all_dead(cluster), "the revocation of what was minted too late")
