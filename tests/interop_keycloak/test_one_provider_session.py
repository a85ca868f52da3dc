"""One revocation at Keycloak ends its session for the whole client; a live session is spared that.

Two sessions of the BFF belong to one session there if a person signs in twice in one browser: they
have the same `sid`. Here the browser forgets our cookies in between, so that both go on.
"""

from __future__ import annotations

import pytest
import requests

from tests.interop.test_interop import refresh_works, status_with
from tests.interop_keycloak.cluster import KeycloakBrowser, KeycloakCluster
from tests.support.ageing import run_out, session_key
from tests.support.cluster import TIMEOUT_SECONDS
from tests.support.waiting import wait_for


@pytest.fixture
def pair(cluster: KeycloakCluster) -> tuple[KeycloakBrowser, KeycloakBrowser]:
    """A forgotten session, and the one in use."""
    forgotten, browser = cluster.browser(), cluster.browser()
    forgotten.at_provider = browser.at_provider
    forgotten.log_in()
    browser.log_in()
    return forgotten, browser


def revoke_directly(cluster: KeycloakCluster, refresh_token: str | None) -> None:
    response = requests.post(
        f"{cluster.issuer}/protocol/openid-connect/revoke",
        data={name: cluster.client[name] for name in ("client_id", "client_secret")}
        | {"token": refresh_token, "token_type_hint": "refresh_token"},
        timeout=TIMEOUT_SECONDS,
    )
    assert response.ok, response.text


def test_a_revocation_at_keycloak_reaches_the_other_session_of_the_client(
    cluster: KeycloakCluster, pair: tuple[KeycloakBrowser, KeycloakBrowser]
) -> None:
    """The premise: without the takeover, the session in use would end with the other."""
    forgotten, browser = pair
    revoke_directly(cluster, cluster.refresh_token(forgotten))
    assert not cluster.is_active(cluster.refresh_token(browser))


def test_a_session_that_times_out_is_taken_over_by_the_live_one(
    cluster: KeycloakCluster, pair: tuple[KeycloakBrowser, KeycloakBrowser]
) -> None:
    forgotten, browser = pair
    old = cluster.refresh_token(forgotten)
    run_out(cluster, forgotten.cookie)
    name = f"{{{session_key(forgotten.cookie)}}}".encode()
    wait_for(lambda: not any(name in key for key in cluster.keys("session")), "the sweep")
    cluster.wait_until_outbox_is_empty()
    refresh_works(cluster, browser)
    last = cluster.refresh_token(browser)
    assert browser.log_out().status_code == 200
    cluster.wait_until_outbox_is_empty()
    assert not cluster.is_active(old)
    assert not cluster.is_active(last)


def test_a_revocation_that_waited_is_taken_over_by_a_later_sign_in(
    cluster: KeycloakCluster,
) -> None:
    """Keycloak is stalled during the logout; the same person signs in again when it is back."""
    browser = cluster.browser()
    browser.log_in()
    old, cookie = cluster.refresh_token(browser), browser.cookie
    cluster.keycloak.process.pause()
    try:
        assert browser.log_out().status_code == 200
        assert status_with(cluster, cookie) == 401
        assert cluster.keys("{outbox}:entry")
    finally:
        cluster.keycloak.process.resume()
    browser.log_in()
    cluster.wait_until_outbox_is_empty()
    refresh_works(cluster, browser)
    last = cluster.refresh_token(browser)
    assert browser.log_out().status_code == 200
    cluster.wait_until_outbox_is_empty()
    assert not cluster.is_active(old)
    assert not cluster.is_active(last)
