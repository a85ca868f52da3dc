"""How do the demo provider's second factor (`acr_values`) and pushed requests (RFC 9126) work?"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
import requests

from demo.provider.second_step import STRONG_ACR, STRONG_AMR
from tests.support.provider_client import (
    CLIENT_ID,
    CLIENT_SECRET,
    EMAIL,
    PASSWORD,
    ProviderClient,
    StartClient,
    header_and_claims,
    query_of,
)
from tests.support.provider_form import TIMEOUT_SECONDS, sign_in_at_provider

STRONG = {"acr_values": STRONG_ACR}


def claims_of(tokens: dict[str, Any], kind: str = "id_token") -> dict[str, Any]:
    return header_and_claims(tokens[kind])[1]


def sign_in(client: ProviderClient, second_step: dict[str, str], **asked: str) -> dict[str, Any]:
    url = client.authorize_url(**asked)
    at = sign_in_at_provider(client.browser, url, EMAIL, PASSWORD, second_step=second_step)
    return dict(client.exchange(query_of(at)["code"]).json())


# ---------------------------------------------------------------- the second step
def test_a_password_alone_has_no_acr(start_client: StartClient) -> None:
    tokens = start_client().tokens()
    for kind in ("id_token", "access_token"):
        assert not {"acr", "amr"} & set(claims_of(tokens, kind))


def test_acr_values_request_the_second_step_and_the_tokens_show_it(
    start_client: StartClient,
) -> None:
    client = start_client()
    before = claims_of(client.tokens())
    tokens = client.tokens(**STRONG)
    for kind in ("id_token", "access_token"):
        claims = claims_of(tokens, kind)
        assert (claims["acr"], claims["amr"]) == (STRONG_ACR, list(STRONG_AMR))
        assert claims["auth_time"] >= before["auth_time"]
    assert claims_of(tokens)["sid"] == before["sid"]
    assert client.counts()["second_step.ok"] == 1
    # The session at the provider has the second factor now.
    assert claims_of(client.tokens(**STRONG))["acr"] == STRONG_ACR
    assert client.counts()["second_step.ok"] == 1


def test_a_refresh_keeps_it_in_the_access_token_and_not_in_the_id_token(
    start_client: StartClient,
) -> None:
    client = start_client()
    refreshed = client.refresh(client.tokens(**STRONG)["refresh_token"]).json()
    assert claims_of(refreshed, "access_token")["acr"] == STRONG_ACR
    assert not {"acr", "amr"} & set(claims_of(refreshed))


def test_after_the_password_again_the_code_is_required_again(start_client: StartClient) -> None:
    client = start_client()
    client.tokens(**STRONG)
    assert "acr" not in claims_of(client.tokens(prompt="login"))
    client.tokens(**STRONG, max_age="0")
    assert client.counts()["second_step.ok"] == 2


def test_without_the_second_step_there_is_no_acr(start_client: StartClient) -> None:
    tokens = sign_in(start_client(), {"one_time_code": "", "skip": "yes"}, **STRONG)
    assert "acr" not in claims_of(tokens)


def test_a_silent_request_gets_the_present_acr(start_client: StartClient) -> None:
    client = start_client()
    client.tokens()
    tokens = client.exchange(client.silently(**STRONG)["code"]).json()
    assert "acr" not in claims_of(tokens)


@pytest.mark.parametrize(
    "filled", [{"one_time_code": "000000"}, {"one_time_code": "123456", "ticket": "made up"}]
)
def test_a_wrong_code_or_another_ticket_gives_the_form_again(
    start_client: StartClient, filled: dict[str, str]
) -> None:
    with pytest.raises(AssertionError, match="400"):
        sign_in(start_client(), filled, **STRONG)


# ---------------------------------------------------------------- pushed requests
def push(client: ProviderClient, **changes: str) -> requests.Response:
    asked = dict(parse_qsl(urlsplit(client.authorize_url()).query))
    form = asked | {"client_secret": CLIENT_SECRET} | changes
    return requests.post(f"{client.issuer}oauth/par", data=form, timeout=TIMEOUT_SECONDS)


def pushed_url(client: ProviderClient, request_uri: str, client_id: str = CLIENT_ID) -> str:
    query = {"client_id": client_id, "request_uri": request_uri}
    return f"{client.issuer}authorize?{urlencode(query)}"


def test_a_pushed_request_signs_in_with_its_own_parameters(start_client: StartClient) -> None:
    client = start_client(par="required")
    response = push(client, **STRONG)
    assert (response.status_code, response.json()["expires_in"]) == (201, 30)
    url = pushed_url(client, response.json()["request_uri"])
    at = sign_in_at_provider(client.browser, url, EMAIL, PASSWORD)
    assert query_of(at)["state"] == "the-state"
    claims = claims_of(client.exchange(query_of(at)["code"]).json())
    assert (claims["acr"], claims["nonce"]) == (STRONG_ACR, "the-nonce")


def test_the_forms_show_the_reference_alone(start_client: StartClient) -> None:
    client = start_client(par="offered")
    page = client.get(pushed_url(client, push(client).json()["request_uri"]))
    assert page.status_code == 200
    assert "the-nonce" not in page.text
    assert "code_challenge" not in page.text


WRONG: dict[str, tuple[dict[str, str], int, str]] = {
    "a wrong secret": ({"client_secret": "x"}, 401, "invalid_client"),
    "another client": ({"client_id": "other"}, 401, "invalid_client"),
    "another address": ({"redirect_uri": "https://evil.test/"}, 400, "invalid_request"),
    "a reference": ({"request_uri": "urn:a"}, 400, "invalid_request"),
}


@pytest.mark.parametrize(("changes", "status", "error"), WRONG.values(), ids=WRONG)
def test_a_bad_push_is_refused(
    start_client: StartClient, changes: dict[str, str], status: int, error: str
) -> None:
    response = push(start_client(par="offered"), **changes)
    assert (response.status_code, response.json()["error"]) == (status, error)


def test_a_reference_expires_and_belongs_to_its_client(start_client: StartClient) -> None:
    client = start_client(par="offered")
    request_uri = push(client).json()["request_uri"]
    assert client.get(pushed_url(client, request_uri, "other")).status_code == 400
    assert client.get(pushed_url(client, request_uri)).status_code == 200
    late = push(client).json()["request_uri"]
    client.control("POST", "clock", advance_seconds=31)
    assert client.get(pushed_url(client, late)).status_code == 400


def test_without_the_setting_there_is_no_such_endpoint(start_client: StartClient) -> None:
    client = start_client()
    assert push(client).status_code == 404
    document = client.get(f"{client.issuer}.well-known/openid-configuration").json()
    assert "pushed_authorization_request_endpoint" not in document
