"""A person's name and address change at the provider, and the session follows."""

from __future__ import annotations

import pytest
import requests

from tests.interop.cluster import InteropBrowser, InteropCluster
from tests.support.ageing import age_access_token
from tests.support.cluster import TIMEOUT_SECONDS

ADMIN_KEY = "the-static-key-of-the-administrators"
OLD, NEW = "ada@example.com", "ada@new.example"
KINDS = {
    "ID token": {},
    # Without an audience the access token is for UserInfo, and the ID token has no such claims.
    "UserInfo": {"AUTH0_AUDIENCE": "", "BFF_USERINFO": "true"},
}


def end_by(cluster: InteropCluster, email: str) -> int:
    """End all sessions of an address; returns how many there were."""
    response = requests.post(
        f"{cluster.url(0)}/admin/sessions/end",
        headers={"Authorization": f"Bearer {ADMIN_KEY}"},
        json={"email": email},
        timeout=TIMEOUT_SECONDS,
    )
    assert response.ok, response.text
    return int(response.json()["ended"])


def user(browser: InteropBrowser) -> tuple[str, str]:
    claims = browser.profile().json()["user"]
    return claims["name"], claims["email"]


@pytest.mark.parametrize("env", KINDS.values(), ids=KINDS)
def test_after_a_refresh_profile_and_ends_know_the_new_address(env: dict[str, str]) -> None:
    with InteropCluster(env=env | {"BFF_ADMIN_KEY": ADMIN_KEY}) as cluster:
        browser = cluster.browser(OLD)
        browser.log_in()
        assert user(browser) == ("Demo Person", OLD)
        cluster.control("POST", "people", id=OLD, name="Ada Married", email=NEW)
        age_access_token(cluster, browser.cookie, 0)
        browser.api("/items")
        cluster.wait_for_caches()
        assert user(browser) == ("Ada Married", NEW)
        assert end_by(cluster, OLD) == 0
        assert browser.profile().status_code == 200
        assert end_by(cluster, NEW) == 1
        assert browser.profile().status_code == 401
