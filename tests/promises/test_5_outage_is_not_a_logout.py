"""Promise 5: if Redis or the provider fails, the response is 503; no session ends or begins."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Thread

import pytest
import requests

from tests.support.ageing import age_access_token
from tests.support.browser_client import BrowserClient
from tests.support.cluster import Cluster
from tests.support.provider_form import sign_in_at_provider
from tests.support.scale import rounds
from tests.support.waiting import once_below, wait_for

pytestmark = pytest.mark.session_cache

REPLICAS = 2
REDIS_TIMEOUT_SECONDS = 1.0
PROVIDER_TIMEOUT_SECONDS = 3.0
PAUSE_SECONDS = rounds(full=10, reduced=4)


@pytest.fixture(scope="module")
def cluster(session_cache: str) -> Iterator[Cluster]:
    env = {
        "BFF_PROVIDER_TIMEOUT_SECONDS": str(PROVIDER_TIMEOUT_SECONDS),
        "BFF_REDIS_TIMEOUT_SECONDS": str(REDIS_TIMEOUT_SECONDS),
    }
    # A token that a hanging refresh has rotated must be accepted until the last retry.
    with Cluster(REPLICAS, provider={"overlap_seconds": 60}, env=env) as started:
        yield started


def assert_temporary_failure(response: requests.Response, code: str) -> None:
    """503 with `Retry-After`, and the cookie stays."""
    assert response.status_code == 503, response.text
    assert int(response.headers["Retry-After"]) > 0
    assert "Set-Cookie" not in response.headers
    assert response.json()["code"] == code


@contextmanager
def traffic(browser: BrowserClient) -> Iterator[list[tuple[requests.Response, float]]]:
    """Requests to all replicas, one after the other, until the block ends."""
    responses: list[tuple[requests.Response, float]] = []
    going = True

    def run(replica: int) -> None:
        while going:
            began = time.monotonic()
            response = browser.api("/items", replica=replica)
            responses.append((response, time.monotonic() - began))

    threads = [Thread(target=run, args=(i,)) for i in range(REPLICAS)]
    for thread in threads:
        thread.start()
    try:
        yield responses
    finally:
        going = False
        for thread in threads:
            thread.join()


@pytest.mark.parametrize("kind", ["paused", "stopped", "killed"])
def test_promise_5_redis_failing_in_the_middle_of_traffic(cluster: Cluster, kind: str) -> None:
    browser = cluster.browser()
    browser.log_in()
    slowest = {"paused": REDIS_TIMEOUT_SECONDS + 1, "stopped": 2.0, "killed": 2.0}[kind]
    once_below(slowest, lambda: outage(cluster, browser, kind), "seconds to the slowest response")
    assert all(browser.profile(replica=i).status_code == 200 for i in range(REPLICAS))


def outage(cluster: Cluster, browser: BrowserClient, kind: str) -> float:
    """Stop and restart Redis amid traffic; returns the seconds of the slowest response."""
    with traffic(browser) as responses:
        wait_for(lambda: len(responses) >= 4, "responses")
        if kind == "paused":
            cluster.redis.pause()
            time.sleep(PAUSE_SECONDS)  # The length of the outage under test.
            cluster.redis.resume()
        else:
            cluster.redis.stop() if kind == "stopped" else cluster.redis.kill()
            wait_for(lambda: responses[-1][0].status_code == 503, "a refusal")
            cluster.redis.start_again()
        wait_for(lambda: all(a.status_code == 200 for a, _ in responses[-4:]), "responses again")
    statuses = {response.status_code for response, _ in responses}
    assert statuses == {200, 503}, statuses
    for response, _ in responses:
        if response.status_code == 503:
            assert_temporary_failure(response, "store_unavailable")
    return max(seconds for _, seconds in responses)


def test_promise_5_without_redis_no_session_begins_or_ends(cluster: Cluster) -> None:
    browser, stranger = cluster.browser(), cluster.browser()
    browser.log_in()
    cluster.redis.stop()
    try:
        assert_temporary_failure(browser.profile(), "store_unavailable")
        assert_temporary_failure(browser.fetch("GET", "/auth/sessions"), "store_unavailable")
        assert_temporary_failure(browser.log_out(), "not_signed_out")
        assert stranger.profile().status_code == 401
        assert stranger.api("/items").status_code == 401
        made_up = {"Cookie": f"session={'A' * 43}"}
        response = stranger.fetch("GET", "/api/items", headers=made_up)
        assert_temporary_failure(response, "store_unavailable")
        assert requests.get(cluster.url() + "/readyz", timeout=5).status_code == 503
        assert requests.get(cluster.url() + "/healthz", timeout=5).status_code == 200
    finally:
        cluster.redis.start_again()
    assert browser.api("/items").status_code == 200


def test_promise_5_a_sign_in_that_redis_could_not_take_is_revoked_and_says_so(
    cluster: Cluster,
) -> None:
    """Redis stops while the provider exchanges the code."""
    browser = cluster.browser()
    location = sign_in_at_provider(
        browser.at_provider, browser.authorize_url(), "demo@example.com", "demo"
    )
    known = {token["value"] for token in cluster.issued("refresh_token")}

    def new() -> list[str]:
        issued = [str(token["value"]) for token in cluster.issued("refresh_token")]
        return [value for value in issued if value not in known]

    fault = {"grant_type": "authorization_code", "do": "hang"}
    cluster.control("POST", "faults", endpoint="token", times=1, **fault)
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(browser.come_back, location)
        wait_for(lambda: bool(new()), "the exchange of the code")
        cluster.redis.stop()
        try:
            cluster.control("DELETE", "faults")
            response = coming.result()
            assert response.status_code == 503
            assert browser.cookie is None
        finally:
            cluster.redis.start_again()
    [issued] = new()
    wait_for(lambda: state_of(cluster, issued) == "revoked", "its revocation")


def test_promise_5_a_sign_in_that_comes_back_while_redis_is_away_can_be_finished(
    cluster: Cluster,
) -> None:
    """The code isn't sent before Redis is asked."""
    browser = cluster.browser()
    location = sign_in_at_provider(
        browser.at_provider, browser.authorize_url("/auth/login?returnTo=/a"), "demo@example.com",
        "demo",
    )  # fmt: skip
    cluster.redis.stop()
    try:
        assert browser.come_back(location).status_code == 503
    finally:
        cluster.redis.start_again()
    wait_for(lambda: browser.come_back(location).status_code < 400, "the reload")
    assert browser.profile().status_code == 200


@pytest.mark.parametrize(
    "fault",
    [
        {"do": "status", "status": 503, "headers": {"Retry-After": "3"}},
        {"do": "status", "status": 429},
        {"do": "hang"},
        {"do": "drop_before"},
        {"do": "garbage"},
    ],
    ids=lambda fault: str(fault.get("status", fault["do"])),
)
def test_promise_5_the_provider_failing_when_a_refresh_is_due(
    cluster: Cluster, fault: dict[str, object]
) -> None:
    browser = cluster.browser()
    browser.log_in()
    cluster.control("POST", "faults", endpoint="token", times=100, **fault)
    try:
        age_access_token(cluster, browser.cookie, 30)
        assert browser.api("/items").status_code == 200, "the old token is used while it is valid"
        forget_failures(cluster)
        age_access_token(cluster, browser.cookie, 0)
        began = time.monotonic()
        response = browser.api("/items")
        # One retry if the request was sent and no response came.
        assert time.monotonic() - began < 3 * PROVIDER_TIMEOUT_SECONDS
        assert_temporary_failure(response, "provider_unavailable")
        assert browser.profile().status_code == 200, "no session has ended"
    finally:
        cluster.control("DELETE", "faults")
    forget_failures(cluster)
    assert browser.api("/items").status_code == 200


def test_promise_5_the_provider_gone_when_a_refresh_is_due(cluster: Cluster) -> None:
    browser = cluster.browser()
    browser.log_in()
    age_access_token(cluster, browser.cookie, 0)
    cluster.provider.pause()
    try:
        began = time.monotonic()
        assert_temporary_failure(browser.api("/items"), "provider_unavailable")
        assert time.monotonic() - began < 3 * PROVIDER_TIMEOUT_SECONDS
    finally:
        cluster.provider.resume()
    forget_failures(cluster)
    assert browser.api("/items").status_code == 200


def test_promise_5_invalid_client_is_our_fault_and_ends_no_session(cluster: Cluster) -> None:
    browser = cluster.browser()
    browser.log_in()
    age_access_token(cluster, browser.cookie, 0)
    fault = {"do": "status", "status": 401, "body": {"error": "invalid_client"}}
    cluster.control("POST", "faults", endpoint="token", times=1, **fault)
    response = browser.api("/items")
    assert (response.status_code, response.json()["code"]) == (502, "provider_misconfigured")
    assert "Set-Cookie" not in response.headers
    forget_failures(cluster)
    assert browser.api("/items").status_code == 200


def forget_failures(cluster: Cluster) -> None:
    """Wait until the failure is no longer cached."""
    for name in cluster.keys("failure"):
        cluster.store().delete(name)


def state_of(cluster: Cluster, refresh_token: str) -> str:
    """The state of a refresh token at the provider."""
    [found] = [t for t in cluster.issued("refresh_token") if t["value"] == refresh_token]
    return str(found["state"])
