"""Two applications on one `localhost` share the browser's cookies, and each keeps its own session.

Cookies don't distinguish ports. Version 0.1.0 wrote `session` at every port.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.browser_client import BrowserClient
from tests.support.cluster import Cluster

FOREIGN = "eyJfZnJlc2giOmZhbHNlfQ.aSo.x7"
"""Such as Flask's own `session`."""


@pytest.fixture(scope="module")
def two() -> Iterator[tuple[Cluster, Cluster]]:
    """Each with its own provider, Redis and secrets, as two projects of one developer."""
    with Cluster() as one, Cluster() as other:
        yield one, other


@pytest.fixture
def pair(two: tuple[Cluster, Cluster]) -> tuple[BrowserClient, BrowserClient]:
    """One browser at both."""
    here, there = two[0].browser(), two[1].browser()
    there.here = here.here
    return here, there


def named(browser: BrowserClient, start: str) -> dict[str, str]:
    jar = browser.here.cookies
    return {c.name: c.value or "" for c in jar if c.name.startswith(start)}


def statuses(pair: tuple[BrowserClient, BrowserClient]) -> list[int]:
    return [browser.profile().status_code for browser in pair]


@pytest.mark.parametrize("first", [0, 1])
def test_a_sign_in_or_logout_at_one_leaves_the_other_alone(
    pair: tuple[BrowserClient, BrowserClient], first: int
) -> None:
    pair[first].log_in()
    before = named(pair[first], "browser-")
    pair[1 - first].log_in()
    assert statuses(pair) == [200, 200]
    assert before.items() < named(pair[0], "browser-").items()
    assert pair[first].log_out().status_code == 200
    assert (pair[first].profile().status_code, pair[1 - first].profile().status_code) == (401, 200)
    pair[first].log_in()
    assert statuses(pair) == [200, 200]
    for browser in pair:
        assert browser.log_out().status_code == 200
    assert statuses(pair) == [401, 401]
    assert named(pair[0], "browser-") == named(pair[0], "session-") == {}


def test_a_sign_in_that_overlaps_with_one_at_the_other_is_finished(
    pair: tuple[BrowserClient, BrowserClient],
) -> None:
    there = pair[1].authorize_url()
    pair[0].log_in()
    pair[1].log_in()
    assert "/authorize" in there
    assert statuses(pair) == [200, 200]


def test_version_0_1_0_reads_a_copy_which_goes_with_the_session(two: tuple[Cluster, ...]) -> None:
    browser = two[0].browser()
    browser.log_in()
    [own] = named(browser, "session-").values()
    assert named(browser, "session") == {"session": own, f"session-{two[0].ports[0]}": own}
    assert browser.log_out().status_code == 200
    assert named(browser, "session") == {}


def test_the_cookie_of_a_foreign_application_stays(two: tuple[Cluster, ...]) -> None:
    """Also where the provider's redirect doesn't bring it: it may be `SameSite=Strict`."""
    browser = two[0].browser()
    browser.here.cookies.set("session", FOREIGN, domain="localhost.local")
    browser.log_in()
    assert browser.profile().status_code == 200
    assert named(browser, "session")["session"] == FOREIGN
    assert browser.log_out().status_code == 200
    assert named(browser, "session") == {"session": FOREIGN}


def test_a_sign_in_at_version_0_1_0_counts_here_and_is_ended_here(two: tuple[Cluster, ...]) -> None:
    """It replaces this session, and knows the shared cookie only."""
    cluster = two[0]
    browser, other = cluster.browser(), cluster.browser()
    browser.log_in()
    stale = browser.cookie
    assert browser.log_out().status_code == 200
    other.log_in()
    both = {f"session-{cluster.ports[0]}": stale or "", "session": other.cookie or ""}
    cookies = "; ".join(f"{name}={value}" for name, value in both.items())
    fresh = cluster.browser()
    assert fresh.fetch("GET", "/auth/profile", headers={"Cookie": cookies}).status_code == 200
    ended = fresh.fetch("POST", "/auth/logout", headers={"Cookie": cookies, "X-CSRF": "1"})
    assert ended.headers["Set-Cookie"].count("Expires=Thu, 01 Jan 1970") == 2
    assert other.profile().status_code == 401
