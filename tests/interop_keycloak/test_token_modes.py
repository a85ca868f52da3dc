"""Each token mode and the step-up against Keycloak; client scopes open the APIs there."""

from __future__ import annotations

import hashlib
import hmac
import json
import struct
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.interop.test_interop import REFRESHED
from tests.interop.test_token_modes import asked_since, claims
from tests.interop_keycloak.cluster import TOKEN_EXCHANGE, KeycloakBrowser, KeycloakGateway
from tests.interop_keycloak.conftest import REPLICAS
from tests.interop_keycloak.server import REALM_FILE, Keycloak
from tests.support.ageing import age_access_token, age_sign_in
from tests.support.gateway import ORDERS, REPORTS, STOCK
from tests.support.storm import Shot, fire

REQUESTS = 90
TIME_STEP_SECONDS = 30
STEP_UP = "insufficient_user_authentication"


@pytest.fixture(scope="module")
def gateway(keycloak: Keycloak) -> Iterator[KeycloakGateway]:
    with KeycloakGateway(keycloak, REPLICAS) as started:
        yield started


@pytest.fixture
def browser(gateway: KeycloakGateway) -> KeycloakBrowser:
    browser = gateway.browser("ada@example.com")
    browser.log_in()
    return browser


@pytest.mark.parametrize(
    ("prefix", "audience", "scope"),
    [("/api/orders", ORDERS, "read:orders"), ("/api/reports", REPORTS, "read:reports")],
)
def test_each_api_gets_a_token_of_the_user_for_itself(
    browser: KeycloakBrowser, prefix: str, audience: str, scope: str
) -> None:
    seen = claims(browser, prefix)
    assert seen["sub"] == browser.profile().json()["user"]["sub"]
    assert audience in seen["aud"]
    assert scope in seen["scope"].split()


def test_a_client_token_is_one_for_all(gateway: KeycloakGateway, browser: KeycloakBrowser) -> None:
    seen = [claims(browser, "/api/stock", replica=r) for r in range(REPLICAS)]
    assert len({one["jti"] for one in seen}) == 1
    assert STOCK in seen[0]["aud"]
    assert seen[0]["sub"] != browser.profile().json()["user"]["sub"]


def test_promise_4_each_refresh_token_once_though_routes_spend_it_too(
    gateway: KeycloakGateway, browser: KeycloakBrowser
) -> None:
    paths = ["/api/items", "/api/orders/whoami", "/api/reports/whoami"]
    age_access_token(gateway, browser.cookie, 0)
    before = gateway.counts()
    shots = [
        Shot(gateway.ports[i % REPLICAS], paths[i // REPLICAS % 3], browser.cookie or "")
        for i in range(REQUESTS)
    ]
    assert Counter(answer.status for answer in fire(shots)) == {200: REQUESTS}
    assert asked_since(gateway, before) == {REFRESHED: 2, f"token.{TOKEN_EXCHANGE}.200": 1}


# ---------------------------------------------------------------- step-up
def test_a_step_up_asks_for_the_second_factor_and_then_the_call_passes(
    browser: KeycloakBrowser,
) -> None:
    refused = browser.fetch("GET", "/api/secret/whoami")
    assert (refused.status_code, refused.json()["code"]) == (
        401,
        "insufficient_user_authentication",
    )
    browser.one_time_password = one_time_password()
    browser.log_in(refused.json()["login_url"])
    assert claims(browser, "/api/secret")["acr"] == "second-factor"


def test_a_sign_in_that_is_too_old_for_a_route_is_repeated(
    gateway: KeycloakGateway, browser: KeycloakBrowser
) -> None:
    assert claims(browser, "/api/recent")
    age_sign_in(gateway, browser.cookie, 3600)
    gateway.wait_for_caches()
    refused = browser.fetch("GET", "/api/recent/whoami")
    assert (refused.status_code, refused.json()["code"]) == (
        401,
        "insufficient_user_authentication",
    )
    browser.log_in(refused.json()["login_url"])
    assert claims(browser, "/api/recent")


def one_time_password() -> str:
    """Ada's of now (RFC 6238)."""
    users: list[dict[str, Any]] = json.loads(REALM_FILE.read_text())["users"]
    ada = next(user for user in users if user["username"] == "ada@example.com")
    otp = next(one for one in ada["credentials"] if one["type"] == "otp")
    secret = json.loads(otp["secretData"])["value"].encode()
    counter = struct.pack(">Q", int(time.time()) // TIME_STEP_SECONDS)
    digest = hmac.new(secret, counter, hashlib.sha1).digest()
    offset = digest[-1] & 15
    (number,) = struct.unpack(">I", digest[offset : offset + 4])
    return f"{(number & 0x7FFFFFFF) % 1_000_000:06}"
