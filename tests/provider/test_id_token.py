"""An ID token is accepted only if it is genuine, fresh, for us and for this sign-in."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import pytest
from joserfc.jwk import ECKey, OKPKey

from bff.core.errors import IDTokenInvalid
from bff.provider.oidc import Provider
from tests.support.fake_provider import (
    CLIENT_ID,
    CLIENT_SECRET,
    KEY,
    NULL,
    OTHER_KEY,
    FakeProvider,
    at_hash,
    transaction,
)
from tests.support.standalone_provider import ListingSink

HOUR = 3600


def sign_in(fake: FakeProvider, provider: Provider, id_token: Any, **changes: Any) -> Any:
    """Exchange a code for which the provider sends *id_token*."""
    fake.token(fake.grant(id_token=id_token))
    return provider.exchange_code("the-code", transaction(**changes))


def refused(fake: FakeProvider, provider: Provider, id_token: Any, **changes: Any) -> str:
    with pytest.raises(IDTokenInvalid) as caught:
        sign_in(fake, provider, id_token, **changes)
    return caught.value.detail


def unsigned(fake: FakeProvider, header: dict[str, Any]) -> str:
    """The claims of a valid token with another header and no signature."""
    claims = fake.id_token().split(".")[1]
    head = base64.urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=").decode()
    return f"{head}.{claims}."


def signed_with_hmac(fake: FakeProvider, secret: bytes) -> str:
    token = unsigned(fake, {"alg": "HS256", "kid": "one"})
    signature = hmac.digest(secret, token[:-1].encode(), "sha256")
    return token + base64.urlsafe_b64encode(signature).rstrip(b"=").decode()


def test_a_missing_id_token_is_refused(fake: FakeProvider, provider: Provider) -> None:
    assert "no ID token" in refused(fake, provider, None)


def test_an_id_token_for_another_audience_with_our_azp_is_refused(
    fake: FakeProvider, provider: Provider
) -> None:
    """Authlib accepts it: it doesn't check aud, so azp alone is enough."""
    refused(fake, provider, fake.id_token(aud="another", azp=CLIENT_ID))


def test_alg_none_is_refused(fake: FakeProvider, provider: Provider) -> None:
    refused(fake, provider, unsigned(fake, {"alg": "none", "kid": "one"}))


def test_hs256_signed_with_the_public_key_is_refused(
    fake: FakeProvider, provider: Provider
) -> None:
    refused(fake, provider, signed_with_hmac(fake, KEY.as_pem(private=False)))


def test_hs256_signed_with_the_client_secret_is_refused(
    fake: FakeProvider, provider: Provider
) -> None:
    """The standard permits it, our allow-list doesn't."""
    refused(fake, provider, signed_with_hmac(fake, CLIENT_SECRET.encode()))


def test_a_symmetric_key_in_the_jwks_is_ignored(fake: FakeProvider, provider: Provider) -> None:
    secret = b"a secret that everybody can read in the list"
    shown = base64.urlsafe_b64encode(secret).rstrip(b"=").decode()
    fake.keys.insert(0, {"kty": "oct", "k": shown, "kid": "one"})
    refused(fake, provider, signed_with_hmac(fake, secret))
    assert sign_in(fake, provider, fake.id_token())


def test_an_algorithm_that_is_not_configured_is_refused(
    fake: FakeProvider, client_for: Any
) -> None:
    refused(fake, client_for(BFF_ID_TOKEN_ALGORITHMS="ES256"), fake.id_token())


def test_a_key_in_the_token_itself_is_never_used(fake: FakeProvider, provider: Provider) -> None:
    token = fake.id_token(OTHER_KEY, header={"jwk": OTHER_KEY.as_dict(private=False)})
    refused(fake, provider, token)
    token = fake.id_token(OTHER_KEY, header={"jwk": OTHER_KEY.as_dict(private=False), "kid": "one"})
    refused(fake, provider, token)


def test_a_key_url_in_the_token_is_never_fetched(fake: FakeProvider, provider: Provider) -> None:
    refused(fake, provider, fake.id_token(OTHER_KEY, header={"jku": f"{fake.issuer}evil"}))
    assert fake.count("/evil") == 0


def test_a_critical_header_that_is_not_understood_is_refused(
    fake: FakeProvider, provider: Provider
) -> None:
    refused(fake, provider, fake.id_token(header={"crit": ["bork"], "bork": True}))


REFUSED_CLAIMS: dict[str, dict[str, Any]] = {
    "another issuer": {"iss": "https://evil.example/"},
    "the issuer without its slash": {"iss": "SLASHLESS"},
    "no issuer": {"iss": None},
    "another audience": {"aud": "another"},
    "a list without us": {"aud": ["another", "third"], "azp": CLIENT_ID},
    "an empty list": {"aud": []},
    "no audience": {"aud": None},
    "several audiences without azp": {"aud": [CLIENT_ID, "another"]},
    "several audiences with another's azp": {"aud": [CLIENT_ID, "another"], "azp": "another"},
    "our audience with another's azp": {"azp": "another"},
    "no sub": {"sub": None},
    "an empty sub": {"sub": ""},
    "a sub that is a number": {"sub": 7},
    "a sub that is too long": {"sub": "x" * 256},
    "no exp": {"exp": None},
    "expired": {"exp": -11},
    "an exp that is true": {"exp": True},
    "an exp that is text": {"exp": "2999-01-01"},
    "no iat": {"iat": None},
    "issued in the future": {"iat": 15},
    "not yet valid": {"nbf": 15},
    "another nonce": {"nonce": "another"},
    "no nonce": {"nonce": None},
    "a nonce that is null": {"nonce": NULL},
    "a sub that is null": {"sub": NULL},
    "an exp that is null": {"exp": NULL},
    "several audiences with an azp that is null": {"aud": [CLIENT_ID, "another"], "azp": NULL},
    "a nonce that is a list": {"nonce": ["the-nonce"]},
    "at_hash of another token": {"at_hash": at_hash("another")},
    "an empty at_hash": {"at_hash": ""},
    "an at_hash that is a number": {"at_hash": 1},
}
RELATIVE = ("exp", "iat", "nbf")


@pytest.mark.parametrize("changes", REFUSED_CLAIMS.values(), ids=REFUSED_CLAIMS)
def test_a_wrong_claim_is_refused(
    fake: FakeProvider, provider: Provider, changes: dict[str, Any]
) -> None:
    now = int(time.time())
    claims: dict[str, Any] = {
        name: now + value if name in RELATIVE and type(value) is int else value
        for name, value in changes.items()
    }
    if claims.get("iss") == "SLASHLESS":
        claims["iss"] = fake.issuer.rstrip("/")
    refused(fake, provider, fake.id_token(**claims))


GARBAGE = ["x", "a.b.c", "..", "a.b.c.d.e", "é.é.é", 7, [], {}, "x" * 200_000]


@pytest.mark.parametrize("token", GARBAGE, ids=lambda token: str(token)[:10])
def test_what_is_no_jwt_is_refused(fake: FakeProvider, provider: Provider, token: Any) -> None:
    refused(fake, provider, token)


def test_the_allowed_skew_is_ours_and_not_two_minutes(
    fake: FakeProvider, provider: Provider
) -> None:
    now = int(time.time())
    sign_in(fake, provider, fake.id_token(exp=now - 5))
    refused(fake, provider, fake.id_token(exp=now - 60))


def test_auth_time_is_required_once_max_age_was_asked_for(
    fake: FakeProvider, provider: Provider
) -> None:
    now = int(time.time())
    refused(fake, provider, fake.id_token(), max_age=HOUR)
    refused(fake, provider, fake.id_token(auth_time=True), max_age=HOUR)
    refused(fake, provider, fake.id_token(auth_time=now - 2 * HOUR), max_age=HOUR)
    refused(fake, provider, fake.id_token(auth_time=now - 60), max_age=0)
    assert sign_in(fake, provider, fake.id_token(auth_time=now - 60), max_age=HOUR)


def test_a_user_may_spend_minutes_on_the_form(fake: FakeProvider, provider: Provider) -> None:
    """max_age counts from the start of the sign-in, or max_age=0 could never be met."""
    now = int(time.time())
    token = fake.id_token(auth_time=now - 60)
    assert sign_in(fake, provider, token, max_age=0, started_at=now - 90)


ACCEPTED_CLAIMS: dict[str, dict[str, Any]] = {
    "one audience in a list": {"aud": [CLIENT_ID]},
    "several audiences with our azp": {"aud": [CLIENT_ID, "another"], "azp": CLIENT_ID},
    "the right at_hash": {"at_hash": at_hash("the-access-token")},
    "a padded at_hash": {"at_hash": at_hash("the-access-token") + "=="},
    "null for what is missing": dict.fromkeys(
        ("azp", "at_hash", "c_hash", "nbf", "jti", "sid", "auth_time", "acr", "amr"), NULL
    ),
}


@pytest.mark.parametrize("changes", ACCEPTED_CLAIMS.values(), ids=ACCEPTED_CLAIMS)
def test_a_right_claim_is_accepted(
    fake: FakeProvider, provider: Provider, changes: dict[str, Any]
) -> None:
    assert sign_in(fake, provider, fake.id_token(**changes)).identity.subject == "auth0|demo"


def test_an_elliptic_key_and_an_unknown_header_are_accepted(
    fake: FakeProvider, provider: Provider
) -> None:
    key = ECKey.generate_key("P-256", {"kid": "ec", "use": "sig"})
    fake.keys.append(key.as_dict(private=False))
    assert sign_in(fake, provider, fake.id_token(key, "ES256", header={"x-extra": "1"}))


def test_ed25519_is_accepted_where_it_is_allowed(
    fake: FakeProvider, provider: Provider, client_for: Any
) -> None:
    """RFC 9864; its `at_hash` is by SHA-512."""
    key = OKPKey.generate_key("Ed25519", {"kid": "ed", "use": "sig", "alg": "Ed25519"})
    fake.keys.append(key.as_dict(private=False))
    half = hashlib.sha512(b"the-access-token").digest()[:32]
    right = base64.urlsafe_b64encode(half).rstrip(b"=").decode()
    refused(fake, provider, fake.id_token(key, "Ed25519", at_hash=right))
    allowed = client_for(BFF_ID_TOKEN_ALGORITHMS="RS256,Ed25519")
    assert sign_in(fake, allowed, fake.id_token(key, "Ed25519", at_hash=right))
    refused(fake, allowed, fake.id_token(key, "Ed25519", at_hash=at_hash("the-access-token")))


def test_without_kid_only_one_key_may_fit(
    fake: FakeProvider, provider: Provider, client_for: Any
) -> None:
    token = fake.id_token(header={"kid": None})
    assert sign_in(fake, provider, token)
    fake.keys.append(OTHER_KEY.as_dict(private=False))
    refused(fake, client_for(), token)


def test_which_claims_are_stored(fake: FakeProvider, client_for: Any) -> None:
    provider = client_for(BFF_PROFILE_CLAIMS="name,email")
    token = fake.id_token(
        email="d@example.com", secret_claim="x", acr="high", amr=["mfa", 7], auth_time=12.0
    )
    identity = sign_in(fake, provider, token).identity
    assert identity.claims == {"name": "Dana", "email": "d@example.com"}
    assert (identity.issuer, identity.sid, identity.acr) == (fake.issuer, "sid-one", "high")
    assert (identity.amr, identity.auth_time) == (("mfa",), 12)


def test_a_refresh_token_beside_a_bad_id_token_is_revoked(
    fake: FakeProvider, provider: Provider
) -> None:
    refused(fake, provider, fake.id_token(nonce="another"))
    assert [asked.form["token"] for asked in fake.asked if asked.path == "/oauth/revoke"] == [
        "the-refresh-token"
    ]


def test_the_sink_gets_such_a_refresh_token(fake: FakeProvider, client_for: Any) -> None:
    sink = ListingSink()
    refused(fake, client_for(discard=sink), None)
    assert sink.discarded == [("the-refresh-token", None)]
    assert fake.count("/oauth/revoke") == 0


def test_the_id_token_of_a_refresh_must_be_of_the_same_user(
    fake: FakeProvider, provider: Provider
) -> None:
    """OpenID Connect Core, 12.2: same iss, same sub, aud still includes us; no nonce needed."""
    fake.token(fake.grant(id_token=fake.id_token(nonce=None)))
    assert provider.refresh("old", subject="auth0|demo").refresh_token == "the-refresh-token"
    others: list[dict[str, Any]] = [{"sub": "x"}, {"iss": "https://evil.example/"}, {"aud": "x"}]
    for changes in others:
        fake.token(fake.grant(id_token=fake.id_token(**changes)))
        with pytest.raises(IDTokenInvalid):
            provider.refresh("old", subject="auth0|demo")
    assert fake.count("/oauth/revoke") == 3


def test_a_refresh_without_an_id_token_is_fine(fake: FakeProvider, provider: Provider) -> None:
    fake.token(fake.grant(id_token=None))
    assert provider.refresh("old", subject="auth0|demo").id_token is None


@pytest.mark.parametrize(
    "claims",
    [{}, {"org_id": "org_other"}, {"org_name": "other"}, {"org_id": "acme", "org_name": 7}],
    ids=["none", "another id", "another name", "name as id"],
)
def test_an_id_token_of_another_organization_is_refused(
    fake: FakeProvider, provider: Provider, claims: dict[str, Any]
) -> None:
    refused(fake, provider, fake.id_token(**claims), organization="org_acme")


@pytest.mark.parametrize(
    ("asked", "claims"),
    [("org_acme", {"org_id": "org_acme"}), ("Acme", {"org_id": "org_1", "org_name": "acme"})],
    ids=["id", "name"],
)
def test_the_requested_organization_is_accepted(
    fake: FakeProvider, provider: Provider, asked: str, claims: dict[str, Any]
) -> None:
    assert sign_in(fake, provider, fake.id_token(**claims), organization=asked)
