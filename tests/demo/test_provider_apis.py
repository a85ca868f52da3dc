"""How does the demo provider issue tokens for other APIs? By refresh, exchange, client grant."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from demo.provider.settings import TOKEN_EXCHANGE
from tests.support.provider_client import (
    AUDIENCE,
    CLIENT_ID,
    ProviderClient,
    StartClient,
    client_settings,
    header_and_claims,
)

FAULTS = "https://orders.example.com"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"


@pytest.fixture
def client(start_client: StartClient) -> ProviderClient:
    settings = client_settings(
        resource_policies={FAULTS: ["read:orders", "write:orders"]},
        more_grant_types=("client_credentials", TOKEN_EXCHANGE),
    )
    return start_client(clients=(settings,), overlap_seconds=0)


def refreshed(client: ProviderClient, refresh_token: str, **form: str) -> requests.Response:
    return client.token(grant_type="refresh_token", refresh_token=refresh_token, **form)


def exchanged(client: ProviderClient, access_token: str, **changes: str) -> requests.Response:
    usual = {
        "grant_type": TOKEN_EXCHANGE,
        "subject_token": access_token,
        "subject_token_type": ACCESS_TOKEN,
        "audience": FAULTS,
    }
    return client.token(**(usual | changes))


def claims_of(response: requests.Response) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    return header_and_claims(response.json()["access_token"])[1]


# ---------------------------------------------------------------- by refresh
@pytest.mark.parametrize("parameter", ["audience", "resource"])
def test_a_refresh_may_name_another_api_and_rotates(client: ProviderClient, parameter: str) -> None:
    first = client.tokens()["refresh_token"]
    response = refreshed(client, first, **{parameter: FAULTS})
    claims = claims_of(response)
    assert (claims["aud"], claims["scope"]) == (FAULTS, "read:orders write:orders")
    assert client.state_of(first) == "rotated"
    # The next one is for the API of the sign-in again.
    again = claims_of(refreshed(client, response.json()["refresh_token"]))
    assert AUDIENCE in again["aud"]


def test_scopes_that_the_policy_lacks_are_dropped_silently(client: ProviderClient) -> None:
    refresh_token = client.tokens()["refresh_token"]
    response = refreshed(client, refresh_token, audience=FAULTS, scope="read:orders admin")
    assert response.json()["scope"] == claims_of(response)["scope"] == "read:orders"


@pytest.mark.parametrize(
    ("parameter", "error", "status"),
    [("resource", "invalid_target", 400), ("audience", "access_denied", 403)],
)
def test_an_api_without_a_policy_is_refused_and_nothing_is_spent(
    client: ProviderClient, parameter: str, error: str, status: int
) -> None:
    refresh_token = client.tokens()["refresh_token"]
    response = refreshed(client, refresh_token, **{parameter: "https://elsewhere"})
    assert (response.status_code, response.json()["error"]) == (status, error)
    assert client.state_of(refresh_token) == "active"


def test_the_sign_in_s_own_api_by_name_is_an_ordinary_refresh(client: ProviderClient) -> None:
    response = refreshed(client, client.tokens()["refresh_token"], resource=AUDIENCE)
    assert AUDIENCE in claims_of(response)["aud"]


# ---------------------------------------------------------------- by exchange
def test_an_exchange_is_for_the_same_user_and_gives_no_refresh_token(
    client: ProviderClient,
) -> None:
    response = exchanged(client, client.tokens()["access_token"], scope="read:orders")
    claims = claims_of(response)
    assert (claims["sub"], claims["aud"], claims["scope"]) == ("auth0|demo", FAULTS, "read:orders")
    assert response.json()["issued_token_type"] == ACCESS_TOKEN
    assert "refresh_token" not in response.json()
    assert client.counts()["token.token_exchange.ok"] == 1


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"subject_token": "forged"}, "invalid_request"),
        ({"subject_token_type": "urn:else"}, "invalid_request"),
        ({"audience": ""}, "invalid_request"),
        ({"audience": "https://elsewhere"}, "access_denied"),
    ],
)
def test_an_exchange_that_is_refused(
    client: ProviderClient, changes: dict[str, str], error: str
) -> None:
    response = exchanged(client, client.tokens()["access_token"], **changes)
    assert response.status_code in (400, 403)
    assert response.json()["error"] == error


def test_an_expired_token_can_t_be_exchanged(client: ProviderClient) -> None:
    access_token = client.tokens()["access_token"]
    client.control("POST", "clock", advance_seconds=301)
    assert exchanged(client, access_token).json()["error"] == "invalid_request"


# ---------------------------------------------------------------- for itself
def test_a_client_gets_a_token_of_its_own(client: ProviderClient) -> None:
    response = client.token(grant_type="client_credentials", audience=FAULTS)
    assert claims_of(response)["sub"] == f"{CLIENT_ID}@clients"
    assert "refresh_token" not in response.json()


@pytest.mark.parametrize("grant_type", ["client_credentials", TOKEN_EXCHANGE])
def test_a_client_without_the_grant_is_refused(start_client: StartClient, grant_type: str) -> None:
    client = start_client(clients=(client_settings(resource_policies={FAULTS: ["read:orders"]}),))
    response = client.token(grant_type=grant_type, audience=FAULTS)
    assert response.json()["error"] == "unauthorized_client"


# ---------------------------------------------------------------- on order
def test_a_fault_may_be_for_one_api_only(client: ProviderClient) -> None:
    fault = {"endpoint": "token", "do": "status", "status": 503, "audience": FAULTS}
    client.control("POST", "faults", **fault)
    refresh_token = client.refresh(client.tokens()["refresh_token"]).json()["refresh_token"]
    assert refreshed(client, refresh_token, resource=FAULTS).status_code == 503
    assert refreshed(client, refresh_token, resource=FAULTS).status_code == 200
