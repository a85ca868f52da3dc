"""The whole authorization request goes from us to the provider; the browser gets a reference."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
from joserfc.jwk import RSAKey

from bff.core.errors import ProviderMisconfigured, ProviderRejected, ProviderUnavailable
from bff.provider.oidc import Provider
from tests.support.fake_provider import (
    CLIENT_ID,
    CLIENT_SECRET,
    FakeProvider,
    Reply,
    transaction,
)
from tests.support.provider_client import header_and_claims

REQUEST_URI = "urn:ietf:params:oauth:request_uri:6esc_11ACC5bwc014ltc14eY22c"
PUSHED = Reply({"request_uri": REQUEST_URI, "expires_in": 30}, 201)
IN_ADDRESS = {"client_id", "request_uri"}


@pytest.fixture
def offered(fake: FakeProvider) -> FakeProvider:
    """A provider with the endpoint."""
    fake.metadata["pushed_authorization_request_endpoint"] = f"{fake.issuer}oauth/par"
    fake.says("/oauth/par", lambda: PUSHED)
    return fake


def test_the_whole_request_is_pushed_and_the_browser_carries_a_reference(
    offered: FakeProvider, client_for: Callable[..., Provider]
) -> None:
    in_address = client_for(BFF_PAR="off", AUTH0_AUDIENCE="https://api.example.com")
    pushing = client_for(AUTH0_AUDIENCE="https://api.example.com")
    asked = ({"login_hint": "a@b&c ü", "acr_values": "urn:a urn:b"},)
    started = transaction(max_age=0)
    expected = dict(parse_qsl(urlsplit(in_address.authorization_url(started, *asked)).query))
    assert offered.count("/oauth/par") == 0
    url = urlsplit(pushing.authorization_url(started, *asked))
    assert parse_qs(url.query) == {"client_id": [CLIENT_ID], "request_uri": [REQUEST_URI]}
    assert url.path == "/authorize"
    (pushed,) = [one for one in offered.asked if one.path == "/oauth/par"]
    assert pushed.method == "POST"
    assert len(pushed.names) == len(pushed.form), "a parameter came twice (RFC 6749, 3.1)"
    assert pushed.form.pop("client_secret") == CLIENT_SECRET
    assert pushed.form == expected
    assert started.code_verifier not in str(pushed.form)


def test_the_endpoints_own_query_stays_in_the_url(
    offered: FakeProvider, client_for: Callable[..., Provider]
) -> None:
    offered.metadata["authorization_endpoint"] += "?tenant=a&prompt=login"
    url = urlsplit(client_for().authorization_url(transaction(), {"prompt": "login"}))
    assert set(parse_qs(url.query)) == {"tenant", "prompt"} | IN_ADDRESS
    assert offered.asked[-1].form["prompt"] == "login"
    assert "tenant" not in offered.asked[-1].form


def test_the_push_authenticates_by_basic_too(
    offered: FakeProvider, client_for: Callable[..., Provider]
) -> None:
    client_for(AUTH0_CLIENT_AUTH="client_secret_basic").authorization_url(transaction(), {})
    pushed = offered.asked[-1]
    scheme, _, value = pushed.headers["Authorization"].partition(" ")
    assert (scheme, base64.b64decode(value).partition(b":")[0]) == ("Basic", CLIENT_ID.encode())
    assert pushed.names.count("client_id") == 1
    assert "client_secret" not in pushed.form


def test_the_push_authenticates_by_a_key_too(
    offered: FakeProvider, client_for: Callable[..., Provider], tmp_path: Path
) -> None:
    (tmp_path / "key").write_bytes(RSAKey.generate_key(2048).as_pem(private=True))
    client_for(
        AUTH0_CLIENT_AUTH="private_key_jwt", AUTH0_CLIENT_PRIVATE_KEY_FILE=str(tmp_path / "key")
    ).authorization_url(transaction(), {})
    pushed = offered.asked[-1]
    _, claims = header_and_claims(pushed.form["client_assertion"])
    assert (claims["aud"], claims["sub"]) == (offered.issuer, CLIENT_ID)
    assert pushed.names.count("client_id") == 1
    assert "Authorization" not in pushed.headers


def test_without_the_endpoint_the_request_goes_in_the_url(provider: Provider) -> None:
    query = parse_qs(urlsplit(provider.authorization_url(transaction(), {})).query)
    assert "request_uri" not in query
    assert query["state"] == ["the-state"]


def test_a_required_push_without_an_endpoint_is_a_misconfiguration(
    client_for: Callable[..., Provider],
) -> None:
    with pytest.raises(ProviderMisconfigured, match="BFF_PAR"):
        client_for(BFF_PAR="required").authorization_url(transaction(), {})


def test_the_endpoint_must_be_as_safe_as_the_others(
    offered: FakeProvider, provider: Provider
) -> None:
    offered.metadata["pushed_authorization_request_endpoint"] = "http://elsewhere.test/par"
    with pytest.raises(ProviderMisconfigured, match="pushed_authorization_request_endpoint"):
        provider.authorization_url(transaction(), {})


FAILURES: dict[str, tuple[Reply, type[Exception]]] = {
    "down": (Reply(b"no", 503, {"Retry-After": "7"}), ProviderUnavailable),
    "too many": (Reply({"error": "too_many_requests"}, 429, {"Retry-After": "7"}),
                 ProviderUnavailable),
    "refused": (Reply({"error": "invalid_request"}, 400), ProviderRejected),
    "refused with a good status": (Reply({"error": "invalid_request"}, 201), ProviderRejected),
    "no such client": (Reply({"error": "invalid_client"}, 401), ProviderMisconfigured),
    "not for us": (Reply({"error": "unauthorized_client"}, 403), ProviderMisconfigured),
    "no such endpoint": (Reply(b"<p>", 404), ProviderUnavailable),
    "elsewhere": (Reply(b"", 307, {"Location": "http://127.0.0.1:9/"}), ProviderUnavailable),
    "rubbish": (Reply(b"{", 201), ProviderUnavailable),
    "a list": (Reply([], 201), ProviderUnavailable),
    "no reference": (Reply({"expires_in": 30}, 201), ProviderUnavailable),
    "a number": (Reply({"request_uri": 7}, 201), ProviderUnavailable),
    "an empty one": (Reply({"request_uri": ""}, 201), ProviderUnavailable),
    "one with a line break": (Reply({"request_uri": "urn:a\r\nX: y"}, 201), ProviderUnavailable),
    "an endless one": (Reply({"request_uri": "urn:" + "a" * 2000}, 201), ProviderUnavailable),
}  # fmt: skip


@pytest.mark.parametrize("par", ["auto", "required"])
@pytest.mark.parametrize(("says", "error"), FAILURES.values(), ids=FAILURES)
def test_a_failed_push_is_never_replaced_by_a_request_in_the_url(
    offered: FakeProvider, client_for: Callable[..., Provider],
    says: Reply, error: type[Exception], par: str,
) -> None:  # fmt: skip
    offered.says("/oauth/par", lambda: says)
    with pytest.raises(error) as caught:
        client_for(BFF_PAR=par).authorization_url(transaction(), {})
    assert offered.count("/oauth/par") == 1
    wanted: Any = 7 if "Retry-After" in says.headers else None
    if wanted:
        assert caught.value.retry_after_seconds == wanted  # type: ignore[attr-defined]


def test_the_description_of_a_refusal_is_not_passed_on(
    offered: FakeProvider, provider: Provider
) -> None:
    offered.says(
        "/oauth/par", lambda: Reply({"error": "invalid_scope", "error_description": "s3cret"}, 400)
    )
    with pytest.raises(ProviderRejected) as refused:
        provider.authorization_url(transaction(), {})
    assert refused.value.error == "invalid_scope"
    assert "s3cret" not in str(refused.value)
