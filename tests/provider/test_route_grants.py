"""The requests for the tokens of routes, and which responses are accepted, over the wire."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import SecretStr

from bff.config import load
from bff.config.route import ACCESS_TOKEN_TYPE, TokenRule
from bff.core.errors import ProviderMisconfigured, ProviderRejected, ProviderUnavailable
from bff.core.model import IssuedTokens
from bff.provider.create import create_endpoint_client
from bff.provider.route_grants import EXCHANGE, RouteGrants, rejection_reason
from tests.support.fake_provider import (
    CLIENT_ID,
    CLIENT_SECRET,
    FakeProvider,
    Reply,
    transaction,
)
from tests.support.standalone_provider import ListingSink, StandaloneProvider

MakeClient = Callable[..., StandaloneProvider]

ORDERS = TokenRule(mode="audience", audience="https://orders", scope="read write")
EXCHANGED = TokenRule(mode="exchange", audience="https://orders", scope="read")
STOCK = TokenRule(mode="client", audience="https://stock")
OWN = TokenRule(
    mode="exchange",
    audience="https://orders",
    client_id="own client",
    client_secret=SecretStr("p%+"),
)
API = {"AUTH0_AUDIENCE": "https://api"}


def last_form(fake: FakeProvider) -> dict[str, str]:
    return next(one.form for one in reversed(fake.asked) if one.path == "/oauth/token")


def exchanged(**changes: Any) -> dict[str, Any]:
    usual = {"access_token": "t", "token_type": "Bearer", "expires_in": 60,
             "issued_token_type": ACCESS_TOKEN_TYPE}  # fmt: skip
    return {name: value for name, value in (usual | changes).items() if value is not None}


# ---------------------------------------------------------------- requests
@pytest.mark.parametrize(
    ("settings", "parameter"),
    [({}, "resource"), ({"BFF_RESOURCE_PARAMETER": "audience"}, "audience")],
)
def test_an_api_is_named_as_the_setting_says(
    fake: FakeProvider, client_for: MakeClient, settings: dict[str, str], parameter: str
) -> None:
    fake.token(fake.grant(id_token=None))
    client_for(**settings).refresh("rt", rule=ORDERS)
    form = last_form(fake)
    assert (form[parameter], form["scope"]) == ("https://orders", "read write")
    assert {"audience", "resource"} & form.keys() == {parameter}


@pytest.mark.parametrize(
    ("settings", "parameter"),
    [({}, "audience"), ({"BFF_RESOURCE_PARAMETER": "resource"}, "resource")],
)
def test_auth0_names_it_audience(settings: dict[str, str], parameter: str) -> None:
    config = load(
        {
            "AUTH0_DOMAIN": "example.eu.auth0.com",
            "AUTH0_CLIENT_ID": "c",
            "AUTH0_CLIENT_SECRET": "s",
            "AUTH0_SECRET": "k" * 40,
            "APP_BASE_URL": "https://app.example.com",
            "BFF_API_URL": "https://api.example.com",
        }
        | settings
    )
    grants = RouteGrants(create_endpoint_client(config), ListingSink())
    assert grants.parameters_for(STOCK) == {parameter: "https://stock"}


def test_an_exchange_has_the_parameters_of_rfc_8693(
    fake: FakeProvider, provider: StandaloneProvider
) -> None:
    fake.token(exchanged(scope="read"))
    answer = provider.exchange("the-user-s", EXCHANGED)
    assert (answer.access_token, answer.scope) == ("t", "read")
    form = last_form(fake)
    assert form == {
        "grant_type": EXCHANGE,
        "subject_token": "the-user-s",
        "subject_token_type": ACCESS_TOKEN_TYPE,
        "requested_token_type": ACCESS_TOKEN_TYPE,
        "resource": "https://orders",
        "scope": "read",
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
    }


def test_a_custom_exchange_names_its_own_type(
    fake: FakeProvider, provider: StandaloneProvider
) -> None:
    fake.token(exchanged())
    rule = TokenRule(mode="exchange", audience="https://orders", subject_token_type="urn:mine")
    provider.exchange("the-user-s", rule)
    assert last_form(fake)["subject_token_type"] == "urn:mine"
    assert rule.name != TokenRule(mode="exchange", audience="https://orders").name


@pytest.mark.parametrize(
    ("scope", "reason"),
    [(["read"], None), (["read", "admin"], "wider_scope"), (["read admin"], "wider_scope"),
     (["openid", "read"], None), ([], None)],
)  # fmt: skip
def test_a_scope_that_is_a_list_is_read_as_the_text(
    fake: FakeProvider, provider: StandaloneProvider, scope: list[str], reason: str | None
) -> None:
    """Twitch and SimpleIdServer write one."""
    fake.token(exchanged(scope=scope))
    answer = provider.exchange("the-user-s", EXCHANGED)
    assert answer.scope == (" ".join(scope) or None)
    assert rejection_reason(EXCHANGED, answer) == reason


def test_client_credentials(fake: FakeProvider, provider: StandaloneProvider) -> None:
    fake.token({"access_token": "t", "token_type": "bearer", "expires_in": 60})
    answer = provider.client_token(STOCK)
    assert answer.expires_at - answer.issued_at == 60
    form = last_form(fake)
    assert (form["grant_type"], form["resource"]) == ("client_credentials", "https://stock")
    assert "scope" not in form
    assert "redirect_uri" not in form


def test_a_route_s_own_client_by_post(fake: FakeProvider, client_for: MakeClient) -> None:
    fake.token(exchanged())
    client_for(rules=(OWN,)).exchange("the-user-s", OWN)
    form = last_form(fake)
    assert (form["client_id"], form["client_secret"]) == ("own client", "p%+")


def test_a_route_s_own_client_by_basic_and_its_revocation(
    fake: FakeProvider, client_for: MakeClient
) -> None:
    provider = client_for(rules=(OWN,), AUTH0_CLIENT_AUTH="client_secret_basic")
    fake.token(exchanged())
    provider.exchange("the-user-s", OWN)
    provider.revoke("rt", client_id="own client")
    sent = {asked.path: asked.headers["Authorization"] for asked in fake.asked if asked.form}
    # Form-encoded before they are joined (RFC 6749, 2.3.1).
    expected = "Basic " + base64.b64encode(b"own+client:p%25%2B").decode()
    assert sent == {"/oauth/token": expected, "/oauth/revoke": expected}


def test_a_client_that_no_route_has_any_more_is_a_permanent_refusal(
    provider: StandaloneProvider,
) -> None:
    """It stays in the outbox and is reported until the route is back, or until it is given up."""
    with pytest.raises(ProviderRejected, match="no route has this client"):
        provider.revoke("rt", client_id="gone")


# ---------------------------------------------------------------- consent to several resources
def test_without_a_route_for_an_audience_no_resource_is_named(
    fake: FakeProvider, client_for: MakeClient
) -> None:
    provider = client_for(rules=(EXCHANGED, STOCK), **API)
    assert "resource" not in parse_qs(urlsplit(provider.authorization_url(transaction(), {})).query)
    fake.token(fake.grant())
    provider.exchange_code("code", transaction())
    assert "resource" not in last_form(fake)


def test_the_consent_names_all_resources_and_each_request_one(
    fake: FakeProvider, client_for: MakeClient
) -> None:
    provider = client_for(rules=(ORDERS, ORDERS, STOCK), **API)
    asked = parse_qs(urlsplit(provider.authorization_url(transaction(), {})).query)
    assert asked["resource"] == ["https://api", "https://orders"]
    fake.token(fake.grant())
    provider.exchange_code("code", transaction())
    assert last_form(fake)["resource"] == "https://api"
    fake.token(fake.grant(id_token=None))
    provider.refresh("rt")
    assert last_form(fake)["resource"] == "https://api"
    provider.refresh("rt", rule=ORDERS)
    assert last_form(fake)["resource"] == "https://orders"


def test_an_audience_needs_no_such_consent(client_for: MakeClient) -> None:
    provider = client_for(rules=(ORDERS,), **API, BFF_RESOURCE_PARAMETER="audience")
    asked = parse_qs(urlsplit(provider.authorization_url(transaction(), {})).query)
    assert asked["audience"] == ["https://api"]
    assert "resource" not in asked


# ---------------------------------------------------------------- responses
@pytest.mark.parametrize(
    ("says", "error"),
    [
        (Reply({"error": "invalid_target"}, 400), ProviderRejected),
        (Reply({"error": "access_denied"}, 403), ProviderRejected),
        (Reply({"error": "unauthorized_client"}, 403), ProviderMisconfigured),
        (Reply({"error": "temporarily_unavailable"}, 400), ProviderUnavailable),
        (Reply(b"<html>", 502), ProviderUnavailable),
        (Reply({"token_type": "Bearer"}), ProviderUnavailable),
        (Reply({"access_token": "", "token_type": "Bearer"}), ProviderUnavailable),
    ],
)
@pytest.mark.parametrize("mode", ["exchange", "client"])
def test_errors_are_read_as_in_every_token_response(
    fake: FakeProvider, provider: StandaloneProvider, says: Reply, error: type[Exception], mode: str
) -> None:
    fake.says("/oauth/token", lambda: says)
    with pytest.raises(error):
        if mode == "exchange":
            provider.exchange("x", EXCHANGED)
        else:
            provider.client_token(STOCK)


def test_a_refresh_token_in_an_unusable_response_is_discarded(
    fake: FakeProvider, client_for: MakeClient
) -> None:
    sink = ListingSink()
    provider = client_for(rules=(OWN,), discard=sink)
    fake.token({"refresh_token": "unasked", "token_type": "Bearer"})
    with pytest.raises(ProviderUnavailable):
        provider.exchange("x", OWN)
    assert sink.discarded == [("unasked", "own client")]


def test_a_refresh_token_with_a_client_s_own_token_is_discarded(
    fake: FakeProvider, client_for: MakeClient
) -> None:
    sink = ListingSink()
    provider = client_for(discard=sink)
    fake.token(fake.grant())
    assert provider.client_token(STOCK).access_token == "the-access-token"
    assert sink.discarded == [("the-refresh-token", None)]


FIT = IssuedTokens(access_token="t", expires_at=2, issued_at=1, issued_token_type=ACCESS_TOKEN_TYPE)
FOR_ORDERS = "e30.eyJhdWQiOlsiaHR0cHM6Ly9vcmRlcnMiXX0.s"
FOR_ANOTHER = "e30.eyJhdWQiOiJodHRwczovL29yZGVycy8ifQ.s"
"""Exactly: `https://orders/`."""


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, None),
        ({"scope": "read"}, None),
        ({"scope": ""}, None),
        ({"scope": "read write"}, "wider_scope"),
        ({"scope": "read groups"}, "wider_scope"),
        ({"scope": "openid"}, None),
        ({"scope": "read email profile"}, None),
        ({"issued_token_type": None}, "wrong_issued_token_type"),
        ({"issued_token_type": "urn:ietf:params:oauth:token-type:jwt"}, "wrong_issued_token_type"),
        ({"token_type": "DPoP"}, "wrong_token_type"),
        ({"token_type": "bearer"}, None),
        ({"access_token": "a b"}, "wrong_token_type"),
        ({"access_token": FOR_ORDERS}, None),
        ({"access_token": FOR_ANOTHER}, "wrong_audience"),
        ({"access_token": "a.b.c"}, None),
        ({"access_token": "e30.W10.s"}, None),
    ],
    ids=str,
)
def test_which_tokens_must_not_be_used(changes: dict[str, Any], expected: str | None) -> None:
    answer = IssuedTokens(**{name: getattr(FIT, name) for name in FIT.__struct_fields__} | changes)
    assert rejection_reason(EXCHANGED, answer) == expected
