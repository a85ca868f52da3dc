"""The claims of UserInfo and of a refreshed ID token: the profile's, and of this very user."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bff.core.errors import BFFError, IDTokenInvalid, ProviderMisconfigured, ProviderUnavailable
from tests.support.fake_provider import FakeProvider, Reply, transaction
from tests.support.standalone_provider import ListingSink, StandaloneProvider

MakeClient = Callable[..., StandaloneProvider]

SUBJECT = "auth0|demo"
CLAIMS = {"BFF_PROFILE_CLAIMS": "sub,name,email,roles,org_id"}
ON = CLAIMS | {"BFF_USERINFO": "true"}


def say(fake: FakeProvider, body: Any, status: int = 200) -> None:
    fake.metadata["userinfo_endpoint"] = f"{fake.issuer}userinfo"
    fake.says("/userinfo", lambda: Reply(body, status))


def sign_in(fake: FakeProvider, provider: StandaloneProvider) -> dict[str, Any]:
    fake.token(fake.grant())
    return provider.exchange_code("the-code", transaction()).identity.claims


def test_a_sign_in_takes_from_userinfo_what_its_id_token_lacks(
    fake: FakeProvider, client_for: MakeClient
) -> None:
    say(fake, {"sub": SUBJECT, "email": "dana@example.com", "name": "Dana New", "phone": "1"})
    claims = sign_in(fake, client_for((), **ON))
    assert claims == {"sub": SUBJECT, "name": "Dana New", "email": "dana@example.com"}
    assert fake.asked[-1].headers["Authorization"] == "Bearer the-access-token"


def test_without_the_setting_userinfo_is_not_asked_and_its_address_not_judged(
    fake: FakeProvider, client_for: MakeClient
) -> None:
    fake.metadata["userinfo_endpoint"] = ["odd"]
    assert sign_in(fake, client_for((), **CLAIMS)) == {"sub": SUBJECT, "name": "Dana"}


def test_an_empty_claim_takes_nothing_away(fake: FakeProvider, client_for: MakeClient) -> None:
    """As `null`. Without its address, an end by e-mail would miss the session."""
    say(fake, {"sub": SUBJECT, "email": "", "name": ""})
    fake.token(fake.grant(id_token=fake.id_token(email="dana@example.com", nonce="the-nonce")))
    identity = client_for((), **ON).exchange_code("the-code", transaction()).identity
    assert identity.claims == {"sub": SUBJECT, "email": "dana@example.com", "name": "Dana"}
    assert client_for((), **ON).userinfo("the-access-token", SUBJECT) == {}


def test_what_a_sign_in_was_checked_by_never_comes_from_userinfo(
    fake: FakeProvider, client_for: MakeClient
) -> None:
    say(fake, {"sub": SUBJECT, "org_id": "org_evil", "name": None, "roles": ["editor"]})
    claims = sign_in(fake, client_for((), **ON))
    assert claims == {"sub": SUBJECT, "name": "Dana", "roles": ["editor"]}


FAILURES: dict[str, tuple[Any, int, type[BFFError]]] = {
    "another user": ({"sub": "auth0|eve", "name": "Eve"}, 200, IDTokenInvalid),
    "another case": ({"sub": "Auth0|Demo"}, 200, IDTokenInvalid),
    "no user": ({"name": "Eve"}, 200, IDTokenInvalid),
    "no object": (["sub"], 200, ProviderUnavailable),
    "no JSON": (b"a signed token", 200, ProviderUnavailable),
    "refused": ({"error": "invalid_token"}, 401, ProviderUnavailable),
    "down": ({}, 503, ProviderUnavailable),
}


@pytest.mark.parametrize(("body", "status", "error"), FAILURES.values(), ids=FAILURES)
def test_a_sign_in_without_the_user_s_own_claims_fails_and_its_tokens_are_discarded(
    fake: FakeProvider, client_for: MakeClient, body: Any, status: int, error: type[BFFError]
) -> None:
    sink = ListingSink()
    say(fake, body, status)
    with pytest.raises(error):
        sign_in(fake, client_for((), sink, **ON))
    assert sink.discarded == [("the-refresh-token", None)]


@pytest.mark.parametrize("address", [None, 7, "http://provider.example/userinfo"])
def test_an_endpoint_that_is_missing_or_has_no_https_gets_no_token(
    fake: FakeProvider, client_for: MakeClient, address: Any
) -> None:
    fake.metadata["userinfo_endpoint"] = address
    with pytest.raises(ProviderMisconfigured):
        client_for((), **ON).userinfo("the-access-token", SUBJECT)


def test_a_redirect_of_userinfo_is_not_followed(fake: FakeProvider, client_for: MakeClient) -> None:
    say(fake, {})
    fake.says("/userinfo", lambda: Reply(b"", 302, {"Location": f"{fake.issuer}elsewhere"}))
    with pytest.raises(ProviderUnavailable):
        client_for((), **ON).userinfo("the-access-token", SUBJECT)


def test_a_refreshed_id_token_brings_what_a_profile_shows_and_may_change(
    fake: FakeProvider, client_for: MakeClient
) -> None:
    token = fake.id_token(name="Dana New", email=None, roles=[], org_id="org_2", phone="1")
    fake.token(fake.grant(id_token=token))
    issued = client_for((), **CLAIMS).refresh("old", subject=SUBJECT)
    assert issued.claims == {"name": "Dana New", "roles": []}


def test_a_refreshed_id_token_that_cannot_be_verified_brings_nothing(
    fake: FakeProvider, client_for: MakeClient
) -> None:
    fake.token(fake.grant(id_token=fake.id_token(name="Dana New", exp=1)))
    assert client_for((), **CLAIMS).refresh("old", subject=SUBJECT).claims == {}
