"""Signing out against the certified provider, which does not revoke `offline_access` by itself."""

from __future__ import annotations

import time
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.interop.cluster import CLIENTS, InteropBrowser, InteropCluster
from tests.interop.test_interop import refresh_works, status_with

PROVIDER_TIMEOUT_SECONDS = 1


def test_logout_revokes_the_refresh_token_at_once(cluster: InteropCluster) -> None:
    browser, others = cluster.browser(), set(cluster.alive())
    browser.log_in()
    refresh_works(cluster, browser)
    (held,) = set(cluster.alive()) - others
    cookie = browser.cookie
    assert browser.log_out().status_code == 200
    assert held not in cluster.alive()
    refused = cluster.spend_directly(held)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
    assert status_with(cluster, cookie) == 401
    assert cluster.keys("{outbox}:entry") == []


@pytest.mark.parametrize("hint", ["false", "true"])
def test_the_providers_own_logout_still_works_after_the_revocation(hint: str) -> None:
    """The question of Keycloak #34234. Here the revoked grant takes nothing from the logout.

    The provider asks for a yes, ends its session, sends its logout token with our `sid`, and sends
    the browser back; `/auth/logged-out` brings it to the SPA.
    """
    with InteropCluster(env={"BFF_LOGOUT_ID_TOKEN_HINT": hint}) as cluster:
        browser = cluster.browser()
        browser.log_in()
        logout_url = browser.log_out().json()["logout_url"]
        assert cluster.counts()["grant.revoked"] == 1, "the revocation came first"
        sent = parse_qs(urlsplit(logout_url).query)
        assert ("id_token_hint" in sent) == (hint == "true")
        assert_lands_on_the_spa(browser, browser.finish_logout(logout_url), cluster)
        (logout_token,) = cluster.control("GET", "logout-tokens")
        assert logout_token["sid"] == sent["logout_hint"][0]
        assert provider_session_is_gone(browser)


def assert_lands_on_the_spa(
    browser: InteropBrowser, location: str, cluster: InteropCluster
) -> None:
    assert location.startswith(f"{cluster.base_url}/auth/logged-out?state=")
    answer = browser.navigate(location)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    page = browser.navigate("/")
    assert (page.status_code, page.headers["Content-Type"].split(";")[0]) == (200, "text/html")
    assert browser.profile().status_code == 401


def provider_session_is_gone(browser: InteropBrowser) -> bool:
    """Whether a silent sign-in is refused: nobody is signed in at the provider."""
    location = browser.provider_answer("/auth/login?prompt=none")
    return parse_qs(urlsplit(location).query).get("error") == ["login_required"]


def test_a_sign_in_after_a_logout_without_the_providers_logout_is_whole(
    cluster: InteropCluster,
) -> None:
    """Its session lives on and remembers a grant that was revoked."""
    browser = cluster.browser()
    browser.log_in()
    browser.log_out()
    assert not provider_session_is_gone_silently(browser)
    browser.log_in()
    refresh_works(cluster, browser)


def provider_session_is_gone_silently(browser: InteropBrowser) -> bool:
    """`consent_required` says: somebody is signed in, and nothing is granted any more."""
    location = browser.provider_answer("/auth/login?prompt=none")
    assert parse_qs(urlsplit(location).query)["error"] in (["consent_required"], ["login_required"])
    return parse_qs(urlsplit(location).query)["error"] == ["login_required"]


def test_one_devices_logout_leaves_the_other_signed_in(cluster: InteropCluster) -> None:
    laptop, phone = cluster.browser(), cluster.browser()
    laptop.log_in()
    phone.log_in()
    assert laptop.log_out().status_code == 200
    refresh_works(cluster, phone)


def test_promise_3_a_paused_provider_delays_the_revocation_and_not_the_logout() -> None:
    env = {"BFF_PROVIDER_TIMEOUT_SECONDS": str(PROVIDER_TIMEOUT_SECONDS)}
    with InteropCluster(2, env=env) as cluster:
        browser = cluster.browser()
        browser.log_in()
        (held,) = cluster.alive()
        cookie = browser.cookie
        cluster.provider.pause()
        began_at = time.monotonic()
        assert browser.log_out().status_code == 200
        assert time.monotonic() - began_at < PROVIDER_TIMEOUT_SECONDS + 1
        assert status_with(cluster, cookie) == 401
        assert len(cluster.keys("{outbox}:entry")) == 1
        cluster.provider.resume()
        cluster.wait_until_outbox_is_empty()
        assert held not in cluster.alive()
        assert cluster.keys("tombstone") == []


@pytest.mark.parametrize("client", sorted(set(CLIENTS) - {"post"}))
def test_every_way_of_client_authentication_signs_in_refreshes_and_revokes(client: str) -> None:
    """`post` is what the other tests use. The secret has every special character of ASCII."""
    with InteropCluster(client=client) as cluster:
        browser = cluster.browser()
        browser.log_in()
        refresh_works(cluster, browser)
        refresh_works(cluster, browser)
        assert len(cluster.alive()) == 1
        assert browser.log_out().status_code == 200
        assert cluster.alive() == []
        assert cluster.counts()["revocation.200"] == 1
        assert cluster.keys("{outbox}:entry") == []
