"""Which settings don't fit the provider, and what is done about it?"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.support.fake_provider import FakeProvider
from tests.support.standalone_provider import StandaloneProvider

KEYCLOAK = {"authorization_endpoint": "realms/demo/protocol/openid-connect/auth"}
HYDRA = {"end_session_endpoint": "oauth2/sessions/logout"}
ONLINE = {"AUTH0_SCOPE": "openid profile email"}
BASIC = {"AUTH0_CLIENT_AUTH": "client_secret_basic"}
HINT = {"BFF_LOGOUT_ID_TOKEN_HINT": "true"}


@pytest.mark.parametrize(
    ("addresses", "announced", "settings", "warned"),
    [
        ({}, {}, {}, []),
        (KEYCLOAK, {}, {}, ["offline_access"]),
        (KEYCLOAK, {}, ONLINE, []),
        (HYDRA, {}, {}, ["BFF_LOGOUT_ID_TOKEN_HINT"]),
        (HYDRA, {}, HINT, []),
        ({}, {"token_endpoint_auth_methods_supported": ["client_secret_post"]}, {}, []),
        ({}, {"token_endpoint_auth_methods_supported": ["client_secret_post"]}, BASIC,
         ["its token endpoint", "its revocation endpoint"]),
        ({}, {"revocation_endpoint_auth_methods_supported": ["client_secret_post"]}, BASIC,
         ["its revocation endpoint"]),
    ],
)  # fmt: skip
def test_a_setting_that_does_not_fit_is_a_warning_at_the_start_and_only_then(
    fake: FakeProvider,
    client_for: Callable[..., StandaloneProvider],
    caplog: pytest.LogCaptureFixture,
    addresses: dict[str, str],
    announced: dict[str, list[str]],
    settings: dict[str, str],
    warned: list[str],
) -> None:
    fake.metadata |= {name: fake.issuer + path for name, path in addresses.items()} | announced
    provider = client_for(**settings)
    provider.warm_up()
    for _ in range(2):
        provider.warm_up_once()
    lines = [record.getMessage() for record in caplog.records if record.name == "bff.provider"]
    assert len(lines) == len(warned)
    assert all(word in line for word, line in zip(warned, lines, strict=True)), lines


@pytest.mark.parametrize(
    ("settings", "id_token", "named"),
    [
        ({}, None, set()),
        ({}, "the-token", set()),
        (HINT, None, set()),
        (HINT, "the-token",
         {"client_id", "post_logout_redirect_uri", "state", "logout_hint", "id_token_hint"}),
    ],
)  # fmt: skip
def test_a_logout_at_hydra_names_an_address_only_with_a_hint(
    fake: FakeProvider,
    client_for: Callable[..., StandaloneProvider],
    settings: dict[str, str],
    id_token: str | None,
    named: set[str],
) -> None:
    fake.metadata["end_session_endpoint"] = f"{fake.issuer}oauth2/sessions/logout"
    url = client_for(**settings).logout_url(sid="sid-one", id_token=id_token, state="s")
    assert url is not None
    assert urlsplit(url).path == "/oauth2/sessions/logout"
    assert set(parse_qs(urlsplit(url).query)) == named
