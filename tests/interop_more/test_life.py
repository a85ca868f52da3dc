"""The whole life against further providers, by hand: `make interop-more`.

What a provider lacks (`providers.py`) is tested, too: docs/interop.md says so.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from tests.interop_more.cluster import MoreBrowser, MoreCluster
from tests.interop_more.providers import PROVIDERS, Lack, Provider
from tests.support.ageing import age_access_token, stored_tokens
from tests.support.cluster import TIMEOUT_SECONDS
from tests.support.storm import Shot, fire
from tests.support.waiting import wait_for

REQUESTS = 100


@pytest.fixture(scope="module", params=PROVIDERS, ids=lambda one: one.name)
def cluster(request: pytest.FixtureRequest) -> Iterator[MoreCluster]:
    provider: Provider = request.param
    with MoreCluster(provider) as started:
        yield started


@pytest.fixture
def browser(cluster: MoreCluster) -> MoreBrowser:
    browser = cluster.browser()
    browser.log_in("/auth/login?returnTo=/items")
    return browser


def lacks(cluster: MoreCluster, what: Lack) -> bool:
    return what in cluster.product.lacks


def test_a_sign_in_gives_a_session_whose_token_reaches_the_api(
    cluster: MoreCluster, browser: MoreBrowser
) -> None:
    assert browser.profile(replica=1).json()["user"]["sub"]
    cluster.upstream.forget()
    assert browser.api("/items", replica=1).status_code == 200
    token = stored_tokens(cluster, browser.cookie).access_token
    assert cluster.upstream.seen[0].get("authorization") == f"Bearer {token}"


def test_a_silent_sign_in_succeeds_where_the_provider_remembers_its_user(
    cluster: MoreCluster, browser: MoreBrowser
) -> None:
    browser.here.cookies.clear()
    if lacks(cluster, "prompt=none"):
        url = browser.authorize_url("/auth/login?prompt=none")
        assert "<form" in browser.at_provider.get(url, timeout=TIMEOUT_SECONDS).text
        return
    location = browser.provider_answer("/auth/login?prompt=none")
    refused = parse_qs(urlsplit(location).query).get("error", [])
    assert refused == (["login_required"] if lacks(cluster, "single sign-on") else [])
    assert browser.come_back(location).status_code == 303


def test_a_storm_with_an_expired_token_spends_one_refresh_token(
    cluster: MoreCluster, browser: MoreBrowser
) -> None:
    held, began = cluster.refresh_token(browser), int(time.time())
    # At the Auth0 simulator it differs only by the second of its issue.
    wait_for(lambda: int(time.time()) > began, "the next second")
    for _ in range(3):
        age_access_token(cluster, browser.cookie, 0)
        ports = cluster.ports
        shots = [Shot(ports[i % 2], "/api/items", browser.cookie or "") for i in range(REQUESTS)]
        assert {answer.status for answer in fire(shots)} == {200}
    assert (cluster.refresh_token(browser) == held) == lacks(cluster, "rotation")


def test_a_refresh_token_that_is_dead_at_the_provider_asks_for_a_sign_in(
    cluster: MoreCluster, browser: MoreBrowser
) -> None:
    """By whatever code: Dex says `invalid_request` of it."""
    held = cluster.refresh_token(browser)
    cluster.is_alive(held)
    if cluster.is_alive(held):
        return
    age_access_token(cluster, browser.cookie, -1)
    answer = browser.api("/items")
    assert (answer.status_code, answer.json().get("login_url")) == (401, "/auth/login")
    browser.log_in()
    assert browser.api("/items").status_code == 200


def test_a_logout_ends_the_session_and_revokes_its_refresh_token(
    cluster: MoreCluster, browser: MoreBrowser
) -> None:
    held, cookie = cluster.refresh_token(browser), browser.cookie
    answer = browser.log_out()
    assert answer.status_code == 200
    browser.here.cookies.set("session", cookie or "")
    assert [browser.profile(replica=replica).status_code for replica in (0, 1)] == [401, 401]
    if cluster.metadata.get("revocation_endpoint"):
        wait_for(lambda: not cluster.keys("{outbox}:entry"), "the revocation is confirmed")
    assert cluster.is_alive(held) == lacks(cluster, "revocation")


def test_the_provider_s_own_logout_leads_back(cluster: MoreCluster, browser: MoreBrowser) -> None:
    logout_url = browser.log_out().json()["logout_url"]
    own = f"{cluster.issuer}v2/logout" if cluster.product.by_domain else "/"
    assert logout_url.startswith(cluster.metadata.get("end_session_endpoint", own))
    if not lacks(cluster, "the way back"):
        location = browser.finish_logout(logout_url)
        assert location.startswith(f"{cluster.base_url}/auth/logged-out")
        assert browser.navigate(location).headers["Location"] == "/"
    browser.log_in()
    assert browser.api("/items").status_code == 200


def test_a_logout_elsewhere_ends_the_session_at_every_replica(
    cluster: MoreCluster, browser: MoreBrowser
) -> None:
    if lacks(cluster, "back-channel logout"):
        assert not cluster.metadata.get("backchannel_logout_supported")
        return
    held = cluster.refresh_token(browser)
    hint = stored_tokens(cluster, browser.cookie).id_token
    asked = {
        "id_token_hint": hint,
        "post_logout_redirect_uri": f"{cluster.base_url}/auth/logged-out",
    }
    browser.finish_logout(f"{cluster.metadata['end_session_endpoint']}?{urlencode(asked)}")
    for replica in (0, 1):
        wait_for(lambda: browser.profile(replica=replica).status_code == 401, "ended")  # noqa: B023
    wait_for(lambda: not cluster.keys("{outbox}:entry"), "the revocation is confirmed")
    assert not cluster.is_alive(held)
