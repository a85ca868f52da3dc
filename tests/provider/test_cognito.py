"""Amazon Cognito's own names at the logout, and who gets them."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from bff.provider.cognito import CognitoDialect
from bff.provider.create import create_endpoint_client
from bff.provider.endpoints import EndpointClient
from tests.support.fake_provider import CLIENT_ID, FakeProvider
from tests.support.standalone_provider import StandaloneProvider


@pytest.mark.parametrize("hint", ["true", "false"])
def test_its_logout_gets_logout_uri_and_client_id_and_nothing_else(
    fake: FakeProvider, hint: str
) -> None:
    fake.metadata["end_session_endpoint"] = f"{fake.issuer}logout"
    config = fake.config(BFF_LOGOUT_ID_TOKEN_HINT=hint)
    provider = StandaloneProvider(EndpointClient(config, CognitoDialect()))
    url = provider.logout_url(sid="sid-one", id_token="the.id.token", state="s")
    provider.close()
    assert url is not None
    assert url.startswith(f"{fake.issuer}logout?")
    assert parse_qs(urlsplit(url).query) == {
        "client_id": [CLIENT_ID],
        "logout_uri": ["http://localhost:8000/auth/logged-out"],
    }


@pytest.mark.parametrize(
    ("issuer", "is_cognito"),
    [
        ("https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbC", True),
        ("https://cognito-idp.cn-north-1.amazonaws.com.cn/cn-north-1_AbC", True),
        ("https://issuer-cognito-idp.us-east-1.amazonaws.com/us-east-1_AbC", True),
        ("https://login.example/cognito-idp.eu-west-1.amazonaws.com", False),
        ("https://cognito-idp.eu-west-1.amazonaws.com.evil.example/p", False),
        ("https://login.example", False),
    ],
)
def test_the_issuer_says_whether_it_is_a_user_pool(
    fake: FakeProvider, issuer: str, is_cognito: bool
) -> None:
    client = create_endpoint_client(fake.config(OIDC_ISSUER=issuer))
    client.close()
    assert isinstance(client.dialect, CognitoDialect) == is_cognito
