"""A person's address changes at Keycloak: profile and index follow, from ID token and UserInfo."""

from __future__ import annotations

import pytest

from tests.interop.cluster import InteropBrowser
from tests.interop.test_profile import ADMIN_KEY, end_by, user
from tests.interop_keycloak.cluster import KeycloakCluster
from tests.interop_keycloak.server import Keycloak
from tests.support.ageing import age_access_token

NEW = "ada@new.example"
KINDS = {"ID token": {}, "UserInfo": {"BFF_USERINFO": "true"}}


def change_person(cluster: KeycloakCluster, browser: InteropBrowser, **changes: object) -> None:
    """As an administrator of Keycloak does it."""
    sub = browser.profile().json()["user"]["sub"]
    person = cluster.admin("GET", f"/users/{sub}")
    cluster.admin("PUT", f"/users/{sub}", person | changes)


def in_id_token_or_userinfo(cluster: KeycloakCluster, kind: str) -> None:
    """Let Keycloak tell name and address in one of the two only."""
    for scope in cluster.admin("GET", "/client-scopes"):
        if scope["name"] not in ("profile", "email"):
            continue
        path = f"/client-scopes/{scope['id']}/protocol-mappers/models"
        for mapper in cluster.admin("GET", path):
            mapper["config"] |= {
                "id.token.claim": str(kind == "ID token").lower(),
                "userinfo.token.claim": str(kind == "UserInfo").lower(),
            }
            cluster.admin("PUT", f"{path}/{mapper['id']}", mapper)


@pytest.mark.parametrize("kind", KINDS)
def test_after_a_refresh_profile_and_ends_know_the_new_address(
    keycloak: Keycloak, kind: str
) -> None:
    with KeycloakCluster(keycloak, env=KINDS[kind] | {"BFF_ADMIN_KEY": ADMIN_KEY}) as cluster:
        in_id_token_or_userinfo(cluster, kind)
        browser, old = cluster.browser("ada@example.com"), "ada@example.com"
        browser.log_in()
        assert user(browser) == ("Ada Person", old)
        change_person(cluster, browser, lastName="Married", email=NEW)
        age_access_token(cluster, browser.cookie, 0)
        assert browser.api("/items").status_code == 200
        cluster.wait_for_caches()
        assert user(browser) == ("Ada Married", NEW)
        assert end_by(cluster, old) == 0
        assert browser.profile().status_code == 200
        assert end_by(cluster, NEW) == 1
        assert browser.profile().status_code == 401


def test_the_session_ends_with_keycloaks_own(keycloak: Keycloak) -> None:
    """Its `refresh_expires_in`; a renewal brings a later end, until *SSO Session Max*."""
    with KeycloakCluster(keycloak) as cluster:
        cluster.admin("PUT", body={"ssoSessionIdleTimeout": 1800, "ssoSessionMaxLifespan": 36_000})
        browser = cluster.browser()
        browser.log_in()
        first = browser.profile().json()["session"]
        assert 1700 < first["absolute_seconds_left"] <= 1800
        cluster.admin("PUT", body={"ssoSessionIdleTimeout": 3600})
        age_access_token(cluster, browser.cookie, 0)
        assert browser.api("/items").status_code == 200
        cluster.wait_for_caches()
        assert 3500 < browser.profile().json()["session"]["absolute_seconds_left"] <= 3600
