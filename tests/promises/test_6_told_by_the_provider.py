"""Promises 6 and 2: a session that the provider ends is over at every replica."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from tests.support.ageing import age_access_token
from tests.support.browser_client import BrowserClient
from tests.support.cluster import CLIENT_ID, EMAIL, PASSWORD, Cluster
from tests.support.provider_form import sign_in_at_provider
from tests.support.scale import rounds
from tests.support.waiting import wait_for

pytestmark = pytest.mark.session_cache

REPLICAS = 3
SUBJECT = "auth0|demo"
RACE_SECONDS = (0.06, 1.0)
"""One of the two begins by a random part of one of these before the other.

The first is about the duration of a callback; after the second, a callback is over even on a slow
machine.
"""


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with Cluster(REPLICAS) as started:
        yield started


def signed_in_anywhere(cluster: Cluster, browser: BrowserClient) -> list[int]:
    """The replicas that accept this browser's cookie."""
    return [r for r in range(REPLICAS) if browser.profile(replica=r).status_code == 200]


def deliveries(cluster: Cluster) -> list[Any]:
    """The status of each logout token that the provider has sent."""
    return [sent["status"] for sent in cluster.control("GET", "backchannel")]


def all_revoked(cluster: Cluster) -> bool:
    return cluster.active_refresh_tokens() == 0 and not cluster.keys("{outbox}:entry")


# ---------------------------------------------------------------- the provider's own logout
def test_signing_out_at_the_provider_signs_out_here_at_every_replica(cluster: Cluster) -> None:
    """As another application of the tenant would, without a request to this one."""
    laptop, phone = cluster.browser(), cluster.browser()
    laptop.log_in(replica=1)
    phone.log_in(replica=2)
    response = laptop.at_provider.get(
        f"{cluster.issuer}v2/logout", params={"client_id": CLIENT_ID}, timeout=10
    )
    assert response.status_code == 200
    wait_for(lambda: not signed_in_anywhere(cluster, laptop), "signed out at every replica")
    assert signed_in_anywhere(cluster, phone) == [0, 1, 2], "another session at the provider"
    wait_for(lambda: deliveries(cluster) == [200], "the provider got its 200")
    states = [token["state"] for token in cluster.issued("refresh_token")]
    wait_for(
        lambda: (
            sorted(t["state"] == "active" for t in cluster.issued("refresh_token")) == [False, True]
        ),
        f"the laptop's refresh token is revoked, the phone's is not: {states}",
    )


def test_a_new_password_signs_out_everywhere(cluster: Cluster) -> None:
    browsers = [cluster.browser() for _ in range(3)]
    for replica, browser in enumerate(browsers):
        browser.log_in(replica=replica)
    cluster.control("POST", f"users/{EMAIL}/password", password=PASSWORD)
    for browser in browsers:
        wait_for(lambda: not signed_in_anywhere(cluster, browser), "signed out")  # noqa: B023
    wait_for(lambda: all_revoked(cluster), "every refresh token is revoked")


def test_a_token_for_the_user_ends_all_and_a_forged_one_none(cluster: Cluster) -> None:
    browsers = [cluster.browser() for _ in range(2)]
    for browser in browsers:
        browser.log_in()
    forgeries: list[dict[str, Any]] = [{"nonce": "x"}, {"aud": "x"}, {"events": {}}, {"exp": 1}]
    for override in forgeries:
        assert send(cluster, sub=SUBJECT, override=override) == [400]
    assert [signed_in_anywhere(cluster, b) for b in browsers] == [[0, 1, 2]] * 2
    assert send(cluster, sub=SUBJECT) == [200]
    assert [signed_in_anywhere(cluster, b) for b in browsers] == [[], []]


def send(cluster: Cluster, **body: Any) -> list[Any]:
    """Let the provider send a logout token; returns the response's status."""
    return [sent["status"] for sent in cluster.control("POST", "backchannel", **body)]


# ---------------------------------------------------------------- races
@dataclass
class RoundResults:
    """What happened in all rounds, so that the test notices if there was no race."""

    let_in: int = 0
    turned_away: int = 0
    refreshed: int = 0
    refused: int = 0


def test_promise_6_no_sign_in_or_refresh_in_flight_outlives_the_providers_session() -> None:
    with Cluster(REPLICAS) as cluster, ThreadPoolExecutor(2) as pool:
        seen = RoundResults()
        for number in range(rounds(full=500, reduced=30)):
            chance = random.Random(number)  # noqa: S311
            browser = cluster.browser()
            if number % 2:
                sign_in_in_a_race(cluster, browser, chance, pool, seen)
            else:
                refresh_in_a_race(cluster, browser, chance, pool, seen)
            assert signed_in_anywhere(cluster, browser) == [], f"round {number}"
            assert cluster.keys("session") == [], f"round {number}"
            browser.close()
        assert min(seen.let_in, seen.turned_away, seen.refreshed, seen.refused) > 0, seen
        wait_for(lambda: all_revoked(cluster), "every refresh token is revoked")


def sign_in_in_a_race(
    cluster: Cluster,
    browser: BrowserClient,
    chance: random.Random,
    pool: ThreadPoolExecutor,
    seen: RoundResults,
) -> None:
    """The callback is requested while the logout token is sent."""
    replica = chance.randrange(REPLICAS)
    location = sign_in_at_provider(
        browser.at_provider, browser.authorize_url(replica=replica), EMAIL, PASSWORD
    )
    response = race(cluster, pool, chance, lambda: browser.come_back(location, replica=replica))
    assert response.status_code in (302, 303), f"{response.status_code}: {response.text[:500]}"
    # A refusal redirects to the provider, for a sign-in after the end.
    away = urlsplit(response.headers["Location"]).netloc == urlsplit(cluster.issuer).netloc
    assert away == (browser.cookie is None)
    seen.turned_away += away
    seen.let_in += not away


def refresh_in_a_race(
    cluster: Cluster,
    browser: BrowserClient,
    chance: random.Random,
    pool: ThreadPoolExecutor,
    seen: RoundResults,
) -> None:
    """A request needs a new access token while the logout token is sent."""
    browser.log_in(replica=chance.randrange(REPLICAS))
    age_access_token(cluster, browser.cookie, 0)
    replica = chance.randrange(REPLICAS)
    response = race(cluster, pool, chance, lambda: browser.api("/items", replica=replica))
    assert response.status_code in (200, 401), f"{response.status_code}: {response.text[:500]}"
    seen.refreshed += response.status_code == 200
    seen.refused += response.status_code == 401


def race(
    cluster: Cluster,
    pool: ThreadPoolExecutor,
    chance: random.Random,
    ask: Callable[[], requests.Response],
) -> requests.Response:
    """Call *ask* while the provider ends the session; returns after both responses."""
    [sid] = cluster.control("POST", f"users/{EMAIL}/end-sessions", backchannel=False)["ended"]
    lead = chance.uniform(-1, 1) * chance.choice(RACE_SECONDS)

    def asked() -> requests.Response:
        time.sleep(max(0.0, -lead))
        return ask()

    asking = pool.submit(asked)
    # The random delay chooses the instant of the logout; it waits for nothing.
    time.sleep(max(0.0, lead))
    assert send(cluster, sub=SUBJECT, sid=sid) == [200]
    return asking.result()
