"""The client authenticates as configured, at the token and the revocation endpoint alike."""

import base64
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from bff.core.errors import ConfigError
from tests.support.fake_provider import CLIENT_ID, CLIENT_SECRET, FakeProvider, Request
from tests.support.standalone_provider import StandaloneProvider

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def both_requests(fake: FakeProvider, provider: StandaloneProvider) -> list[Request]:
    """A refresh and a revocation, as the provider received them."""
    fake.token(fake.grant(id_token=None))
    provider.refresh("the-token")
    provider.revoke("the-token")
    return [asked for asked in fake.asked if asked.method == "POST"]


def test_post_is_the_default(fake: FakeProvider, provider: StandaloneProvider) -> None:
    for asked in both_requests(fake, provider):
        assert asked.form["client_id"] == CLIENT_ID
        assert asked.form["client_secret"] == CLIENT_SECRET
        assert "Authorization" not in asked.headers


def test_basic_is_form_encoded_first(
    fake: FakeProvider, client_for: Callable[..., StandaloneProvider]
) -> None:
    """RFC 6749, 2.3.1; Authlib sends it unencoded."""
    provider = client_for(AUTH0_CLIENT_AUTH="client_secret_basic", AUTH0_CLIENT_ID="client:one/é")
    for asked in both_requests(fake, provider):
        scheme, _, value = asked.headers["Authorization"].partition(" ")
        name, _, secret = base64.b64decode(value).decode().partition(":")
        assert scheme == "Basic"
        assert (unquote_plus(name), unquote_plus(secret)) == ("client:one/é", CLIENT_SECRET)
        assert not set(name + secret) & set(":/é ")
        assert "client_secret" not in asked.form


def key_file(folder: Path, key: RSAKey | ECKey | OKPKey, *, jwk: bool) -> str:
    path = folder / "client-key"
    content = json.dumps(key.as_dict(private=True)).encode() if jwk else key.as_pem(private=True)
    path.write_bytes(content)
    return str(path)


KEYS: dict[str, tuple[Callable[[], RSAKey | ECKey | OKPKey], bool, str]] = {
    "RSA, PEM": (lambda: RSAKey.generate_key(2048), False, "RS256"),
    "RSA, JWK with alg and kid": (
        lambda: RSAKey.generate_key(2048, {"alg": "PS256", "kid": "mine"}), True, "PS256",
    ),
    "EC, PEM": (lambda: ECKey.generate_key("P-256"), False, "ES256"),
    "Edwards, JWK": (
        lambda: OKPKey.generate_key("Ed25519", {"alg": "Ed25519"}), True, "Ed25519",
    ),
    "EC, JWK": (lambda: ECKey.generate_key("P-384"), True, "ES384"),
}  # fmt: skip


@pytest.mark.parametrize(("make", "jwk", "alg"), KEYS.values(), ids=KEYS)
def test_private_key_jwt_never_sends_the_key(
    fake: FakeProvider,
    client_for: Callable[..., StandaloneProvider],
    tmp_path: Path,
    make: Callable[[], RSAKey | ECKey | OKPKey],
    jwk: bool,
    alg: str,
) -> None:
    """By default, Authlib's revoke_token sends the PEM as the Basic password."""
    key = make()
    provider = client_for(
        AUTH0_CLIENT_AUTH="private_key_jwt",
        AUTH0_CLIENT_PRIVATE_KEY_FILE=key_file(tmp_path, key, jwk=jwk),
    )
    seen: set[str] = set()
    for asked in both_requests(fake, provider):
        assert "Authorization" not in asked.headers
        assert "client_secret" not in asked.form
        assert asked.form["client_assertion_type"] == ASSERTION_TYPE
        token = jwt.decode(asked.form["client_assertion"], key, algorithms=[alg])
        claims: dict[str, Any] = token.claims
        assert (claims["iss"], claims["sub"]) == (CLIENT_ID, CLIENT_ID)
        assert claims["aud"] == fake.issuer
        assert 0 < claims["exp"] - time.time() <= 60
        assert token.header.get("kid") == key.get("kid")
        seen.add(claims["jti"])
    assert len(seen) == 2


BAD_KEYS: dict[str, bytes] = {
    "empty": b"",
    "no key": b"hello",
    "broken json": b"{",
    "a public key": RSAKey.generate_key(2048).as_pem(private=False),
    "a public JWK": b'{"kty": "OKP", "crv": "Ed25519", "x": "'
    + base64.urlsafe_b64encode(b"x" * 32).rstrip(b"=") + b'"}',
    "a symmetric JWK": b'{"kty": "oct", "k": "'
    + base64.urlsafe_b64encode(OctKey.generate_key(256).raw_value).rstrip(b"=") + b'"}',
    "a JWK of no type": b"{}",
}  # fmt: skip


@pytest.mark.parametrize("content", BAD_KEYS.values(), ids=BAD_KEYS)
def test_a_key_file_without_a_private_key_is_a_wrong_setting(
    client_for: Callable[..., StandaloneProvider], tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="AUTH0_CLIENT_PRIVATE_KEY_FILE"):
        client_for(AUTH0_CLIENT_AUTH="private_key_jwt", AUTH0_CLIENT_PRIVATE_KEY_FILE=str(path))


POST, BASIC = "client_secret_post", "client_secret_basic"


@pytest.mark.parametrize(
    ("setting", "at_tokens", "at_revocation", "used"),
    [
        ("", None, [BASIC], (POST, BASIC)),
        ("", [BASIC], None, (BASIC, BASIC)),
        ("", [BASIC, "none"], [POST], (BASIC, POST)),
        ("", [BASIC, POST], [POST, BASIC], (POST, POST)),
        ("", ["private_key_jwt"], "nonsense", (POST, POST)),
        ("", [], [None, 7], (POST, POST)),
        (POST, [BASIC], [BASIC], (POST, POST)),
        (BASIC, [POST], [POST], (BASIC, BASIC)),
    ],
)
def test_without_a_setting_each_endpoint_gets_what_its_metadata_announces(
    fake: FakeProvider,
    client_for: Callable[..., StandaloneProvider],
    setting: str,
    at_tokens: Any,
    at_revocation: Any,
    used: tuple[str, str],
) -> None:
    fake.metadata |= {
        "token_endpoint_auth_methods_supported": at_tokens,
        "revocation_endpoint_auth_methods_supported": at_revocation,
    }
    asked = both_requests(fake, client_for(AUTH0_CLIENT_AUTH=setting))
    assert tuple(POST if "client_secret" in one.form else BASIC for one in asked) == used
    assert all(("Authorization" in one.headers) != ("client_secret" in one.form) for one in asked)
