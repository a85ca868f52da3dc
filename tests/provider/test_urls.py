"""The URLs for signing in and out at the provider."""

import base64
import hashlib
import logging
from collections.abc import Callable, Iterator
from urllib.parse import parse_qs, urlsplit

import pytest

from bff.config import load
from bff.provider.auth0 import Auth0Dialect
from bff.provider.create import create_endpoint_client
from bff.provider.dialect import Dialect
from bff.provider.endpoints import EndpointClient
from bff.provider.oidc import Provider
from tests.support.fake_provider import CLIENT_ID, FakeProvider, Reply, transaction
from tests.support.standalone_provider import StandaloneProvider


@pytest.fixture
def auth0_for(fake: FakeProvider) -> Iterator[Callable[..., Provider]]:
    """Makes clients of the fake with Auth0's dialect."""
    made: list[Provider] = []

    def make(**changes: str) -> Provider:
        client = EndpointClient(fake.config(**changes), Auth0Dialect())
        made.append(StandaloneProvider(client))
        return made[-1]

    yield make
    for client in made:
        client.close()


def query(url: str | None) -> dict[str, list[str]]:
    assert url is not None
    return parse_qs(urlsplit(url).query, keep_blank_values=True)


def test_the_authorization_request(fake: FakeProvider, client_for: Callable[..., Provider]) -> None:
    fake.metadata["authorization_endpoint"] += "?tenant=a"
    provider = client_for(AUTH0_AUDIENCE="https://api.example.com")
    url = provider.authorization_url(
        transaction(max_age=0), {"prompt": "login", "login_hint": "a@b&c"}
    )
    verifier = hashlib.sha256(b"v" * 43).digest()
    assert url.startswith(f"{fake.issuer}authorize?tenant=a&")
    assert query(url) == {
        "tenant": ["a"],
        "response_type": ["code"],
        "client_id": [CLIENT_ID],
        "redirect_uri": ["http://localhost:8000/auth/callback"],
        "scope": ["openid profile email offline_access"],
        "audience": ["https://api.example.com"],
        "state": ["the-state"],
        "nonce": ["the-nonce"],
        "code_challenge": [base64.urlsafe_b64encode(verifier).rstrip(b"=").decode()],
        "code_challenge_method": ["S256"],
        "max_age": ["0"],
        "prompt": ["login"],
        "login_hint": ["a@b&c"],
    }


def test_a_parameter_never_replaces_one_of_ours(provider: Provider) -> None:
    url = provider.authorization_url(transaction(), {"nonce": "evil", "scope": "evil"})
    assert query(url)["nonce"] == ["the-nonce"]
    assert "evil" not in url


def test_no_audience_and_no_max_age_unless_configured_or_requested(provider: Provider) -> None:
    assert not {"audience", "max_age"} & set(query(provider.authorization_url(transaction(), {})))


def test_the_logout_names_the_session_and_carries_no_token(
    fake: FakeProvider, provider: Provider
) -> None:
    url = provider.logout_url(sid="sid-one", id_token="the.id.token", state="st&te")
    assert url is not None
    assert url.startswith(f"{fake.issuer}oidc/logout?")
    assert query(url) == {
        "client_id": [CLIENT_ID],
        "post_logout_redirect_uri": ["http://localhost:8000/auth/logged-out"],
        "state": ["st&te"],
        "logout_hint": ["sid-one"],
    }


def test_the_id_token_is_sent_only_if_configured(client_for: Callable[..., Provider]) -> None:
    provider = client_for(BFF_LOGOUT_ID_TOKEN_HINT="true")
    url = provider.logout_url(sid=None, id_token="the.id.token", state="s")
    assert query(url)["id_token_hint"] == ["the.id.token"]
    assert "logout_hint" not in query(url)


def test_a_provider_without_logout_has_no_url(fake: FakeProvider, provider: Provider) -> None:
    del fake.metadata["end_session_endpoint"]
    assert provider.logout_url(sid="s", id_token=None, state="s") is None


def test_a_provider_that_is_down_from_the_start_has_no_url(
    fake: FakeProvider, provider: Provider
) -> None:
    """An outage of the provider doesn't make a logout fail."""
    fake.says("/.well-known/openid-configuration", lambda: Reply(b"", 503))
    assert provider.logout_url(sid="s", id_token=None, state="s") is None


def test_auth0_signs_out_of_the_identity_provider_if_configured(
    auth0_for: Callable[..., Provider],
) -> None:
    url = auth0_for(AUTH0_FEDERATED_LOGOUT="true").logout_url(sid="s", id_token=None, state="s")
    assert query(url)["federated"] == [""]
    assert "federated" not in query(auth0_for().logout_url(sid="s", id_token=None, state="s"))


def test_an_auth0_tenant_without_the_endpoint_has_v2_logout(
    fake: FakeProvider, auth0_for: Callable[..., Provider]
) -> None:
    del fake.metadata["end_session_endpoint"]
    url = auth0_for(AUTH0_FEDERATED_LOGOUT="true").logout_url(sid="s", id_token=None, state="a&b")
    assert url is not None
    assert url.startswith(f"{fake.issuer}v2/logout?")
    assert query(url) == {
        "client_id": [CLIENT_ID],
        "returnTo": ["http://localhost:8000/auth/logged-out?state=a%26b"],
        "federated": [""],
    }


def test_the_dialect_follows_the_setting(fake: FakeProvider) -> None:
    assert type(create_endpoint_client(fake.config()).dialect) is Dialect
    config = load(
        {
            "AUTH0_DOMAIN": "tenant.example", "AUTH0_CLIENT_ID": "a", "AUTH0_CLIENT_SECRET": "b",
            "AUTH0_SECRET": "x" * 32, "APP_BASE_URL": "http://localhost:1",
            "BFF_API_URL": "http://localhost:2",
        }
    )  # fmt: skip
    assert type(create_endpoint_client(config).dialect) is Auth0Dialect


def test_authlib_never_logs_at_debug(fake: FakeProvider) -> None:
    """That level has the code verifier."""
    logger = logging.getLogger("authlib")
    before = logger.level
    try:
        for level in (logging.NOTSET, logging.DEBUG):
            logger.setLevel(level)
            create_endpoint_client(fake.config())
            assert not logging.getLogger("authlib.oauth2.client").isEnabledFor(logging.DEBUG)
    finally:
        logger.setLevel(before)
