"""Promise 4: a refresh token is spent once, however many tabs, threads and replicas ask."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import pytest

from tests.support.ageing import age_access_token
from tests.support.cluster import Cluster
from tests.support.gateway import POLICIES, ROUTES, STOCK, Gateway
from tests.support.scale import CACHE, cache_environment, rounds
from tests.support.storm import Shot, fire

pytestmark = pytest.mark.session_cache

REPLICAS = 3
REQUESTS = 200
SEVERAL = (
    *(route for route in ROUTES if route["prefix"] in ("/api", "/api/orders", "/api/reports")),
    {"prefix": "/api/stock", "to": STOCK, "token": "audience", "audience": STOCK},
)


def test_promise_4_one_refresh_for_a_storm_when_the_access_token_has_expired() -> None:
    storm_rounds(seconds_left=0)


def test_promise_4_one_refresh_for_a_storm_before_the_access_token_expires() -> None:
    storm_rounds(seconds_left=3)


def test_promise_4_each_refresh_token_once_though_several_routes_spend_it() -> None:
    """The session's token and those of two audiences need a refresh each, one an exchange."""
    provider = {"access_token_seconds": 300, "overlap_seconds": 0}
    paths = ["/api/items", "/api/orders/whoami", "/api/stock/whoami", "/api/reports/whoami"]
    with Gateway(REPLICAS, provider=provider, routes=SEVERAL, policies=POLICIES) as gateway:
        for number in range(rounds(full=50, reduced=4)):
            browser = gateway.browser()
            browser.log_in(replica=number % REPLICAS)
            # In half of the rounds the routes have tokens already, which have expired.
            if number % 2:
                assert {browser.fetch("GET", path).status_code for path in paths} == {200}
            age_access_token(gateway, browser.cookie, 0, routes_too=True)
            before = gateway.counts()
            responses = fire(
                [
                    Shot(
                        gateway.ports[i % REPLICAS], paths[i // REPLICAS % 4], browser.cookie or ""
                    )
                    for i in range(REQUESTS)
                ]
            )
            statuses = Counter(response.status for response in responses)
            assert statuses == {200: REQUESTS}, f"round {number}: {statuses}"
            asked = Counter(gateway.counts()) - Counter(before)
            assert asked["token.refresh_token.ok"] == 3, f"round {number}: {asked}"
            assert asked["token.token_exchange.ok"] == 1, f"round {number}: {asked}"
            assert asked["token.reuse_detected"] == 0, f"round {number}: {asked}"
            assert asked["token"] == 4, f"round {number}: {asked}"
            assert browser.log_out().status_code == 200


def test_promise_4_one_refresh_for_500_requests_at_8_processes_that_cache_the_session() -> None:
    on = cache_environment(CACHE["cache on"])
    # 62 requests of one session at each process: more than it may have on one route by default.
    on |= {"BFF_UPSTREAM_REQUESTS_MAX": "1000"}
    storm_rounds(0, replicas=8, requests=500, env=on, count=rounds(full=20, reduced=2))


def storm_rounds(
    seconds_left: int,
    *,
    replicas: int = REPLICAS,
    requests: int = REQUESTS,
    env: Mapping[str, str] | None = None,
    count: int | None = None,
) -> None:
    """Sign in, let the token expire soon, and send all requests at once, without an overlap."""
    provider = {"access_token_seconds": 300, "overlap_seconds": 0}
    with Cluster(replicas, provider=provider, env=env) as cluster:
        for number in range(count or rounds(full=50, reduced=6)):
            browser = cluster.browser()
            browser.log_in(replica=number % replicas)
            shots = [
                Shot(cluster.ports[i % replicas], "/api/items", browser.cookie or "")
                for i in range(requests)
            ]
            # Twice at every process, so that the session is in every cache.
            assert {a.status for a in fire(shots[: 2 * replicas])} == {200}
            age_access_token(cluster, browser.cookie, seconds_left)
            before = cluster.counts()
            responses = fire(shots)
            statuses = Counter(response.status for response in responses)
            assert statuses == {200: requests}, f"round {number}: {statuses}"
            asked = Counter(cluster.counts()) - Counter(before)
            assert asked["token.refresh_token.ok"] == 1, f"round {number}: {asked}"
            assert asked["token.reuse_detected"] == 0, f"round {number}: {asked}"
            assert browser.log_out().status_code == 200
