"""Promise 3 at a provider where one revocation ends its session for the whole client (Keycloak).

A refresh token of the same provider session is then revoked with the last session that has it, and
takes none along.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.support.ageing import age_access_token, run_out, session_key
from tests.support.browser_client import BrowserClient
from tests.support.cluster import Cluster
from tests.support.waiting import wait_for

pytestmark = pytest.mark.session_cache

REPLICAS = 2


@pytest.fixture(scope="module")
def cluster(session_cache: str) -> Iterator[Cluster]:
    with Cluster(REPLICAS, provider={"revocation_reaches": "session"}) as started:
        yield started


def forgotten(cluster: Cluster, current: BrowserClient) -> str:
    """Sign in without our cookies, in the provider's session of *current*; returns the cookie."""
    browser = cluster.browser()
    browser.at_provider = current.at_provider
    browser.log_in(replica=1)
    assert browser.cookie
    return browser.cookie


def times_out(cluster: Cluster, cookie: str, current: BrowserClient) -> None:
    run_out(cluster, cookie)
    name = f"{{{session_key(cookie)}}}".encode()
    wait_for(lambda: not any(name in k for k in cluster.keys("session")), "the sweep")
    wait_for(lambda: cluster.keys("{outbox}:entry") == [], "all that the sweep has to do")


def is_ended_as_another_device(cluster: Cluster, cookie: str, current: BrowserClient) -> None:
    response = current.fetch("DELETE", "/auth/sessions", replica=1, headers={"X-CSRF": "1"})
    assert response.json() == {"ended": 1}
    wait_for(lambda: cluster.keys("{outbox}:entry") == [], "the drain")


ENDS = [times_out, is_ended_as_another_device]


@pytest.mark.parametrize("end", ENDS, ids=lambda end: str(end.__name__))
def test_promise_3_a_forgotten_session_that_ends_takes_none_along(
    cluster: Cluster, end: Callable[[Cluster, str, BrowserClient], None]
) -> None:
    browser = cluster.browser()
    browser.log_in()
    end(cluster, forgotten(cluster, browser), browser)
    assert_goes_on(cluster, browser)
    assert browser.log_out().status_code == 200
    assert cluster.active_refresh_tokens() == 0


def test_promise_3_a_revocation_that_waited_takes_no_later_sign_in_along(cluster: Cluster) -> None:
    browser = cluster.browser()
    browser.log_in()
    cluster.control("POST", "faults", endpoint="revoke", times=1000, do="drop_before")
    assert browser.log_out().status_code == 200
    assert cluster.keys("{outbox}:entry") != []
    browser.log_in(replica=1)
    cluster.control("DELETE", "faults")
    wait_for(lambda: cluster.keys("{outbox}:entry") == [], "the drain", 30)
    assert_goes_on(cluster, browser)
    assert browser.log_out().status_code == 200
    assert cluster.active_refresh_tokens() == 0


def assert_goes_on(cluster: Cluster, browser: BrowserClient) -> None:
    """The session can still renew its access token."""
    age_access_token(cluster, browser.cookie, 0)
    response = browser.api("/items", replica=1)
    assert response.status_code == 200, response.text
