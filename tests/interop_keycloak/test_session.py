"""Sign-in, refresh, logout and back-channel logout against Keycloak."""

from __future__ import annotations

from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from tests.interop.test_interop import refresh_works, status_with, storm
from tests.interop.test_logout import assert_lands_on_the_spa, silent_error, their_page
from tests.interop_keycloak.cluster import KeycloakCluster
from tests.interop_keycloak.server import Keycloak
from tests.support.cluster import AUDIENCE
from tests.support.waiting import wait_for


# ---------------------------------------------------------------- sign-in
def test_sign_in_gives_a_session_and_the_api_accepts_its_token(cluster: KeycloakCluster) -> None:
    browser = cluster.browser("ada@example.com")
    assert browser.log_in("/auth/login?returnTo=/items").headers["Location"] == "/items"
    user = browser.profile().json()["user"]
    assert (user["name"], user["email"], user["email_verified"]) == (
        "Ada Person", "ada@example.com", True,
    )  # fmt: skip
    seen = browser.api("/whoami", replica=1).json()["claims"]
    assert (seen["iss"], seen["aud"], seen["sub"]) == (cluster.issuer, AUDIENCE, user["sub"])


def test_a_silent_sign_in_succeeds_only_with_a_session_at_the_provider(
    cluster: KeycloakCluster,
) -> None:
    browser = cluster.browser()
    assert silent_error(browser) == "login_required"
    browser.log_in()
    browser.here.cookies.clear()
    browser.log_in("/auth/login?prompt=none")
    assert browser.api("/items").status_code == 200


# ---------------------------------------------------------------- refresh
def test_refresh_rotates_the_token(cluster: KeycloakCluster) -> None:
    browser = cluster.browser()
    browser.log_in()
    for number in range(3):
        held = cluster.refresh_token(browser)
        refresh_works(cluster, browser)
        assert cluster.refresh_token(browser) != held, f"round {number}"
    assert cluster.is_active(cluster.refresh_token(browser))


@pytest.mark.parametrize("seconds_left", [0, 3])
def test_promise_4_a_storm_spends_one_refresh_token(
    cluster: KeycloakCluster, seconds_left: int
) -> None:
    """200 requests over three replicas; a second use of a spent token would end the session."""
    storm(cluster, seconds_left)


def test_a_second_sign_in_in_the_same_browser_keeps_its_tokens(cluster: KeycloakCluster) -> None:
    """Both belong to one session there, which one revocation would end for this client."""
    browser = cluster.browser()
    browser.log_in()
    first, old_cookie = cluster.refresh_token(browser), browser.cookie
    browser.log_in(replica=1)
    assert status_with(cluster, old_cookie) == 401
    refresh_works(cluster, browser)
    last = cluster.refresh_token(browser)
    assert browser.log_out().status_code == 200
    cluster.wait_until_outbox_is_empty()
    assert not cluster.is_active(first)
    assert not cluster.is_active(last)


# ---------------------------------------------------------------- logout
def test_a_logout_revokes_the_refresh_token_at_once(cluster: KeycloakCluster) -> None:
    laptop, phone = cluster.browser(), cluster.browser()
    laptop.log_in()
    phone.log_in()
    refresh_works(cluster, laptop)
    held, cookie = cluster.refresh_token(laptop), laptop.cookie
    assert laptop.log_out().status_code == 200
    assert not cluster.is_active(held)
    assert status_with(cluster, cookie) == 401
    assert cluster.keys("{outbox}:entry") == []
    refresh_works(cluster, phone)


@pytest.mark.parametrize("hint", ["false", "true"])
def test_the_providers_own_logout_ends_its_session_after_the_revocation(
    keycloak: Keycloak, hint: str
) -> None:
    """Without `id_token_hint` it asks the user first."""
    with KeycloakCluster(keycloak, env={"BFF_LOGOUT_ID_TOKEN_HINT": hint}) as cluster:
        browser = cluster.browser()
        browser.log_in()
        logout_url = browser.log_out().json()["logout_url"]
        assert ("id_token_hint" in parse_qs(urlsplit(logout_url).query)) == (hint == "true")
        assert_lands_on_the_spa(browser, browser.finish_logout(logout_url), cluster)
        assert silent_error(browser) == "login_required", "its session is still there"


def test_its_own_logout_token_ends_the_session_at_every_replica(cluster: KeycloakCluster) -> None:
    """Somebody signs out there, and isn't here at all."""
    laptop, phone = cluster.browser("ada@example.com"), cluster.browser("bob@example.com")
    laptop.log_in(replica=1)
    phone.log_in()
    held = cluster.refresh_token(laptop)
    page = f"{cluster.issuer}/protocol/openid-connect/logout?{urlencode(their_page(cluster))}"
    laptop.finish_logout(page)
    for replica in range(len(cluster.ports)):
        assert laptop.profile(replica=replica).status_code == 401
        assert phone.profile(replica=replica).status_code == 200
    cluster.wait_until_outbox_is_empty()
    assert not cluster.is_active(held)
    refresh_works(cluster, phone)


def test_an_administrator_who_logs_a_user_out_there_ends_every_session_of_the_user(
    cluster: KeycloakCluster,
) -> None:
    laptop, phone, other = cluster.browser(), cluster.browser(), cluster.browser("bob@example.com")
    for browser in (laptop, phone, other):
        browser.log_in()
    user = laptop.profile().json()["user"]["sub"]
    cluster.admin("POST", f"/users/{user}/logout")
    for browser in (laptop, phone):
        wait_for(lambda b=browser: b.profile().status_code == 401, "the session has ended")  # type: ignore[misc]
    assert other.profile().status_code == 200


# ---------------------------------------------------------------- `offline_access`
def test_with_offline_access_there_is_no_single_sign_on(keycloak: Keycloak) -> None:
    """Why docs/keycloak.md advises against it. A logout still revokes the token."""
    scope = {"AUTH0_SCOPE": "openid profile email offline_access"}
    with KeycloakCluster(keycloak, env=scope) as cluster:
        browser = cluster.browser()
        browser.log_in()
        refresh_works(cluster, browser)
        assert silent_error(browser) == "login_required"
        held = cluster.refresh_token(browser)
        browser.log_out()
        assert not cluster.is_active(held)
