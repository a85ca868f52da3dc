"""Promise 4: a refresh token is spent once, however many tabs, threads and replicas ask."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.support.ageing import age_access_token
from tests.support.cluster import Cluster
from tests.support.scale import rounds
from tests.support.storm import Shot, fire

pytestmark = pytest.mark.memory

REPLICAS = 3
REQUESTS = 200


def test_promise_4_one_refresh_for_a_storm_when_the_access_token_is_dead() -> None:
    storm_rounds(seconds_left=0)


def test_promise_4_one_refresh_for_a_storm_before_the_access_token_is_dead() -> None:
    storm_rounds(seconds_left=3)


def storm_rounds(seconds_left: int) -> None:
    """Sign in, move the token's end near, and let 200 requests come at once; no overlap helps."""
    provider = {"access_token_seconds": 300, "overlap_seconds": 0}
    with Cluster(REPLICAS, provider=provider) as cluster:
        for number in range(rounds(full=50, reduced=6)):
            browser = cluster.browser()
            browser.log_in(replica=number % REPLICAS)
            age_access_token(cluster, browser.cookie, seconds_left)
            before = cluster.counts()
            answers = fire(
                [
                    Shot(cluster.ports[i % REPLICAS], "/api/items", browser.cookie or "")
                    for i in range(REQUESTS)
                ]
            )
            statuses = Counter(answer.status for answer in answers)
            assert statuses == {200: REQUESTS}, f"round {number}: {statuses}"
            asked = Counter(cluster.counts()) - Counter(before)
            assert asked["token.refresh_token.ok"] == 1, f"round {number}: {asked}"
            assert asked["token.reuse_detected"] == 0, f"round {number}: {asked}"
            assert browser.log_out().status_code == 200
