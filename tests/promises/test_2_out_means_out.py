"""Promise 2: out means out, at every replica, whatever is in flight."""

from __future__ import annotations

import pytest

from tests.support.cluster import Cluster
from tests.support.logout_race import REPLICAS, race_rounds
from tests.support.scale import rounds

pytestmark = pytest.mark.session_cache


def test_promise_2_a_logout_beats_requests_and_refreshes_in_flight() -> None:
    # The API doesn't check the deny-list: its refusal would hide that a request got through.
    with Cluster(REPLICAS, provider={"overlap_seconds": 5}, api_asks=False) as cluster:
        race_rounds(cluster, rounds(full=1000, reduced=40))
