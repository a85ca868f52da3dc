"""The ID token of a refresh: only a genuine one of another user, issuer or client is a failure.

What can't be verified is dropped: a new key, a clock that is off or an outage is no logout.
"""

import base64
import time
from collections.abc import Callable
from typing import Any

import pytest
from joserfc.jwk import RSAKey

from bff.core.errors import IDTokenInvalid
from tests.support.fake_provider import NULL, OTHER_KEY, FakeProvider, at_hash
from tests.support.standalone_provider import ListingSink, StandaloneProvider

MakeClient = Callable[..., StandaloneProvider]
MakeToken = Callable[[FakeProvider], str]

NOW = int(time.time())
FORGED = RSAKey.generate_key(2048, {"kid": "one", "use": "sig", "alg": "RS256"})


def unsigned(fake: FakeProvider) -> str:
    claims = fake.id_token(sub="another").split(".")[1]
    head = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
    return f"{head}.{claims}."


DROPPED: dict[str, MakeToken] = {
    "a key that isn't listed yet": lambda fake: fake.id_token(OTHER_KEY),
    "a forged signature": lambda fake: fake.id_token(FORGED, sub="another"),
    "no signature": unsigned,
    "no JWT": lambda fake: "x" * 500,
    "expired by a minute": lambda fake: fake.id_token(exp=NOW - 60),
    "issued an hour ahead": lambda fake: fake.id_token(iat=NOW + 3600),
    "not valid yet": lambda fake: fake.id_token(nbf=NOW + 3600),
    "at_hash of another token": lambda fake: fake.id_token(at_hash=at_hash("another")),
    "no issuer": lambda fake: fake.id_token(iss=None),
    "no audience": lambda fake: fake.id_token(aud=None),
    "no user": lambda fake: fake.id_token(sub=None),
    "a user that is a number": lambda fake: fake.id_token(sub=7),
}
ANOTHER: dict[str, dict[str, Any]] = {
    "user": {"sub": "another"},
    "issuer": {"iss": "https://evil.example/"},
    "audience": {"aud": "another"},
    "audiences": {"aud": ["another", "third"]},
    "authorized party": {"azp": "another"},
}


def test_null_for_what_is_missing_is_no_fault(fake: FakeProvider, client_for: MakeClient) -> None:
    """authentik's are so at a refresh (panva/openid-client, pull request 532)."""
    provider = client_for(BFF_LOGOUT_ID_TOKEN_HINT="true")
    id_token = fake.id_token(at_hash=NULL, c_hash=NULL, nonce=NULL)
    fake.token(fake.grant(id_token=id_token))
    assert provider.refresh("old", subject="auth0|demo").id_token == id_token


TIMES: dict[str, dict[str, Any]] = {
    "valid": {},
    "expired": {"exp": NOW - 60},
    "ahead": {"iat": NOW + 3600},
}


@pytest.mark.parametrize("make", DROPPED.values(), ids=DROPPED)
def test_what_cannot_be_verified_is_dropped_with_a_warning(
    fake: FakeProvider, client_for: MakeClient, make: MakeToken, caplog: pytest.LogCaptureFixture
) -> None:
    sink = ListingSink()
    provider = client_for((), sink, BFF_LOGOUT_ID_TOKEN_HINT="true")
    fake.token(fake.grant(id_token=make(fake)))
    issued = provider.refresh("old", subject="auth0|demo")
    assert (issued.refresh_token, issued.id_token) == ("the-refresh-token", None)
    assert sink.discarded == []
    assert "a refreshed ID token can't be verified, dropped" in caplog.text


@pytest.mark.parametrize("times", TIMES.values(), ids=TIMES)
@pytest.mark.parametrize("changes", ANOTHER.values(), ids=ANOTHER)
def test_a_genuine_one_of_another_is_a_failure_whatever_the_clocks_say(
    fake: FakeProvider, client_for: MakeClient, changes: dict[str, Any], times: dict[str, Any]
) -> None:
    sink = ListingSink()
    provider = client_for((), sink)
    fake.token(fake.grant(id_token=fake.id_token(**changes, **times)))
    with pytest.raises(IDTokenInvalid):
        provider.refresh("old", subject="auth0|demo")
    assert sink.discarded == [("the-refresh-token", None)]
