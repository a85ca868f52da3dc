"""Each token mode against the certified provider; token exchange is a grant that we register there.

An API is a `resource` here (RFC 8707): the consent names all of them, a refresh says which one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.interop.cluster import SIGN_IN, InteropBrowser, InteropCluster
from tests.support.ageing import age_access_token, stored_tokens
from tests.support.cluster import AUDIENCE, TIMEOUT_SECONDS
from tests.support.gateway import (
    EXCHANGE_CLIENT,
    EXCHANGE_SECRET,
    ORDERS,
    REPORTS,
    STOCK,
    SeveralAPIs,
)
from tests.support.storm import Shot, fire

REPLICAS = 3
REQUESTS = 90
TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
SCOPE = "openid profile email offline_access read:orders write:orders"
API_SCOPES = {
    AUDIENCE: "",
    ORDERS: "read:orders write:orders",
    REPORTS: "read:reports",
    STOCK: "read:stock",
}


class InteropGateway(SeveralAPIs, InteropCluster):
    """Several APIs behind oidc-provider."""

    def __enter__(self) -> InteropGateway:
        super().__enter__()
        return self

    def _settings(self) -> dict[str, Any]:
        return super()._settings() | {"api_scopes": API_SCOPES}

    def _clients(self) -> list[dict[str, Any]]:
        clients = super()._clients()
        for client in clients:
            client["grant_types"] = [*client["grant_types"], "client_credentials"]
        exchange = {
            "client_id": EXCHANGE_CLIENT,
            "client_secret": EXCHANGE_SECRET,
            "token_endpoint_auth_method": "client_secret_post",
            "grant_types": [TOKEN_EXCHANGE],
            "redirect_uris": [],
            "response_types": [],
        }
        return [*clients, exchange]

    def environment(self) -> dict[str, str]:
        """The environment of every replica."""
        return super().environment() | {"AUTH0_SCOPE": SCOPE}


@pytest.fixture(scope="module")
def gateway() -> Iterator[InteropGateway]:
    with InteropGateway(REPLICAS) as started:
        yield started


@pytest.fixture
def browser(gateway: InteropGateway) -> InteropBrowser:
    browser = gateway.browser("ada@example.com")
    browser.log_in()
    return browser


def claims(browser: InteropBrowser, prefix: str, **options: Any) -> dict[str, Any]:
    answer = browser.fetch("GET", f"{prefix}/whoami", **options)
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["claims"])


def asked_since(gateway: InteropCluster, before: dict[str, int]) -> Counter[str]:
    asked = Counter(gateway.counts()) - Counter(before)
    return Counter({name: n for name, n in asked.items() if name.startswith(("token.", "grant."))})


def test_the_consent_names_every_api_that_a_refresh_may_be_for(gateway: InteropGateway) -> None:
    gateway.browser().authorize_url(SIGN_IN)
    assert gateway.pushed()["resource"] == [AUDIENCE, ORDERS]


@pytest.mark.parametrize(
    ("prefix", "audience", "client", "scope"),
    [
        ("/api", AUDIENCE, "post-client", None),
        ("/api/orders", ORDERS, "post-client", "read:orders write:orders"),
        ("/api/reports", REPORTS, EXCHANGE_CLIENT, "read:reports"),
    ],
)
def test_each_api_gets_a_token_of_the_user_for_itself(
    browser: InteropBrowser, prefix: str, audience: str, client: str, scope: str | None
) -> None:
    seen = claims(browser, prefix)
    assert (seen["sub"], seen["aud"], seen["client_id"]) == ("ada@example.com", audience, client)
    assert seen.get("scope") == scope


def test_a_client_token_is_one_for_all(gateway: InteropGateway, browser: InteropBrowser) -> None:
    other = gateway.browser("bob@example.com")
    other.log_in()
    seen = [claims(b, "/api/stock", replica=r) for b in (browser, other) for r in range(REPLICAS)]
    assert len({one["jti"] for one in seen}) == 1
    assert (seen[0]["aud"], seen[0]["sub"]) == (STOCK, "post-client")
    assert gateway.counts()["token.client_credentials.200"] == 1


def test_optional_and_none(gateway: InteropGateway, browser: InteropBrowser) -> None:
    assert claims(browser, "/api/both")["sub"] == "ada@example.com"
    assert claims(gateway.browser(), "/api/both") == {}
    assert claims(browser, "/api/open") == {}


def test_the_ordinary_refresh_is_still_for_the_session_s_own_api(
    gateway: InteropGateway, browser: InteropBrowser
) -> None:
    claims(browser, "/api/orders")
    age_access_token(gateway, browser.cookie, 0)
    assert claims(browser, "/api")["aud"] == AUDIENCE


def test_promise_4_each_refresh_token_once_though_routes_spend_it_too(
    gateway: InteropGateway, browser: InteropBrowser
) -> None:
    """Here a second use revokes the grant, so that nothing would work afterwards."""
    paths = ["/api/items", "/api/orders/whoami", "/api/reports/whoami"]
    age_access_token(gateway, browser.cookie, 0)
    before = gateway.counts()
    answers = fire(
        [
            Shot(gateway.ports[i % REPLICAS], paths[i // REPLICAS % 3], browser.cookie or "")
            for i in range(REQUESTS)
        ]
    )
    assert Counter(answer.status for answer in answers) == {200: REQUESTS}
    assert asked_since(gateway, before) == {
        "token.refresh_token.200": 2,
        f"token.{TOKEN_EXCHANGE}.200": 1,
    }


def test_a_logout_makes_every_token_of_the_session_refused(
    gateway: InteropGateway, browser: InteropBrowser
) -> None:
    for prefix in ("/api", "/api/orders", "/api/reports"):
        claims(browser, prefix)
    held = stored_tokens(gateway, browser.cookie)
    by_mode = {one.name.split()[0]: one.access_token for one in held.route_tokens}
    stolen = [
        (AUDIENCE, held.access_token),
        (ORDERS, by_mode["audience"]),
        (REPORTS, by_mode["exchange"]),
    ]
    assert [_status(gateway, *one) for one in stolen] == [200, 200, 200]
    assert browser.log_out().status_code == 200
    assert [_status(gateway, *one) for one in stolen] == [401, 401, 401]
    assert held.refresh_token not in gateway.alive()


def _status(gateway: InteropGateway, audience: str, token: str) -> int:
    return requests.get(
        f"{gateway.apis[audience]}/whoami",
        headers={"Authorization": f"Bearer {token}"},
        timeout=TIMEOUT_SECONDS,
    ).status_code
