"""What an administrator does to Keycloak while users work: a new signing key, a restart."""

from __future__ import annotations

from collections import Counter

from tests.interop.test_interop import refresh_works, status_with
from tests.interop_keycloak.cluster import KeycloakBrowser, KeycloakCluster
from tests.support.ageing import age_access_token
from tests.support.storm import Shot, fire
from tests.support.waiting import wait_for

BROWSERS = 3
UNKNOWN_KEY_TOKEN = (
    # {"alg":"RS256","kid":"nobody-has-it","typ":"logout+jwt"}, {}, no signature
    "eyJhbGciOiJSUzI1NiIsImtpZCI6Im5vYm9keS1oYXMtaXQiLCJ0eXAiOiJsb2dvdXQrand0In0.e30.AAAA"
)


def rotate_signing_key(cluster: KeycloakCluster) -> None:
    """Make a new key the active one; the old one stays listed."""
    cluster.admin(
        "POST",
        "/components",
        {
            "name": "newer",
            "providerId": "rsa-generated",
            "providerType": "org.keycloak.keys.KeyProvider",
            "parentId": cluster.admin("GET")["id"],
            "config": {"priority": ["500"], "active": ["true"], "enabled": ["true"]},
        },
    )


def signed_in(cluster: KeycloakCluster) -> list[KeycloakBrowser]:
    browsers = [cluster.browser() for _ in range(BROWSERS)]
    for browser in browsers:
        browser.log_in()
    return browsers


def test_a_new_signing_key_costs_no_request_and_no_session(cluster: KeycloakCluster) -> None:
    """Also while somebody presents tokens of keys that don't exist, which must hold nothing up."""
    browsers = signed_in(cluster)
    rotate_signing_key(cluster)
    fire([stranger(port) for port in cluster.ports])
    for browser in browsers:
        age_access_token(cluster, browser.cookie, 0)
    shots = [
        Shot(port, "/api/items", browser.cookie or "")
        for _ in range(5)
        for browser in browsers
        for port in cluster.ports
    ]
    assert Counter(answer.status for answer in fire(shots)) == {200: len(shots)}
    newcomer = cluster.browser("bob@example.com")
    newcomer.log_in()
    refresh_works(cluster, newcomer)


def stranger(port: int) -> Shot:
    """An anonymous question about a token of an unknown key."""
    authorization = {"Authorization": f"Bearer {UNKNOWN_KEY_TOKEN}"}
    return Shot(port, "/auth/check-token", "", headers=authorization)


def test_a_restart_signs_nobody_out_and_forgets_no_revocation(cluster: KeycloakCluster) -> None:
    laptop, phone, *_ = signed_in(cluster)
    held, cookie = cluster.refresh_token(laptop), laptop.cookie
    cluster.keycloak.stop()
    age_access_token(cluster, phone.cookie, 0)
    answer = phone.api("/items")
    assert (answer.status_code, answer.json()["code"]) == (503, "provider_unavailable")
    assert phone.profile().status_code == 200
    assert laptop.log_out().status_code == 200
    assert status_with(cluster, cookie) == 401
    assert len(cluster.keys("{outbox}:entry")) == 1
    cluster.keycloak.start_again()
    cluster.wait_until_outbox_is_empty()
    assert not cluster.is_active(held)
    wait_for(lambda: phone.api("/items").status_code == 200, "the refresh works again")
    refresh_works(cluster, phone)
