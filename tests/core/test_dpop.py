"""Is a proof what RFC 9449 says, and is it another one each time?"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import msgspec
import pytest
from joserfc import jws
from joserfc.jwk import ECKey

from bff.core.dpop import BoundToken, DPoPKey, DPoPKeys, sendable, usable_nonce
from bff.core.model import LoginTransaction, RouteToken, Tokens

NOW = 1_800_000_000.7
SECRET, OTHER = "a" * 32, "b" * 32
URL = "https://api.example.com/v1/items"


def read(proof: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims, once the signature is checked with the key in the header."""
    header, claims, _ = proof.split(".")
    key = ECKey.import_key(decoded(header)["jwk"])
    jws.deserialize_compact(proof, key, algorithms=["ES256"])
    return decoded(header), decoded(claims)


def decoded(part: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found


def key(secret: str = SECRET) -> DPoPKey:
    return DPoPKey(secret, lambda: NOW)


@pytest.mark.parametrize(
    ("url", "htu"),
    [
        (URL, URL),
        (f"{URL}?a=1&b=2", URL),
        (f"{URL}#part?a", URL),
        (f"{URL}/%E4%B8%AD%2Fa;v=1?%3f", f"{URL}/%E4%B8%AD%2Fa;v=1"),
        ("http://[::1]:8080/", "http://[::1]:8080/"),
    ],
)
def test_a_proof_names_method_and_address_without_the_query(url: str, htu: str) -> None:
    header, claims = read(key().proof("PATCH", url))
    assert header == {"typ": "dpop+jwt", "alg": "ES256", "jwk": header["jwk"]}
    assert set(header["jwk"]) == {"kty", "crv", "x", "y"}
    jti = claims.pop("jti")
    assert len(jti) == 22
    assert claims == {"htm": "PATCH", "htu": htu, "iat": 1_800_000_000}


def test_with_a_token_its_hash_and_with_a_nonce_the_nonce() -> None:
    """The example of RFC 9449, section 7.1: `ath` is the hash of the token's ASCII."""
    token = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"
    _, claims = read(key().proof("GET", URL, access_token=token, nonce="eyJ7S_zG"))
    assert claims["ath"] == "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"
    assert claims["nonce"] == "eyJ7S_zG"


def test_two_proofs_of_one_request_differ() -> None:
    one = key()
    found = {read(one.proof("GET", URL))[1]["jti"] for _ in range(50)}
    assert len(found) == 50


def test_the_thumbprint_is_that_of_rfc_7638() -> None:
    one = key()
    header, _ = read(one.proof("GET", URL))
    assert one.jkt == ECKey.import_key(header["jwk"]).thumbprint()
    jwk = json.dumps(header["jwk"], separators=(",", ":"), sort_keys=True).encode()
    digest = base64.urlsafe_b64encode(hashlib.sha256(jwk).digest()).rstrip(b"=").decode()
    assert one.jkt == digest


def test_every_replica_derives_the_same_key_and_each_secret_another() -> None:
    """The thumbprint is written down: another derivation would unbind every token."""
    assert key().jkt == key().jkt == "KRhUKYRIUWky3X9rYynUgVB7PBMQqIuXMWY_xZM6cd8"
    assert key().jkt != key(OTHER).jkt


def test_after_a_rotation_the_older_key_is_still_there_and_the_newest_proves() -> None:
    before, after, later = DPoPKeys([SECRET]), DPoPKeys([OTHER, SECRET]), DPoPKeys([OTHER])
    old = before.newest.jkt
    assert after.newest.jkt != old
    assert old in after
    assert after.of(old) is not None
    assert old not in later
    assert later.of(old) is None
    assert "" not in later


def test_only_a_bound_token_is_sent_with_a_proof() -> None:
    plain = RouteToken(name="r", access_token="t", expires_at=1, issued_at=0)
    assert type(sendable(plain)) is str
    bound = sendable(msgspec.structs.replace(plain, jkt="j"))
    assert isinstance(bound, BoundToken)
    assert (bound, bound.jkt, f"{bound}") == ("t", "j", "t")


OLD_TOKENS = b'{"access_token":"t","expires_at":2,"issued_at":1}'


def test_records_of_a_version_without_proofs_open_as_bearer_tokens() -> None:
    tokens = msgspec.json.decode(OLD_TOKENS, type=Tokens)
    assert tokens.jkt == ""
    route = b'{"name":"r","access_token":"t","expires_at":2,"issued_at":1}'
    assert msgspec.json.decode(route, type=RouteToken).jkt == ""
    begun = b'{"state":"s","nonce":"n","code_verifier":"v","return_to":"/","started_at":1}'
    assert msgspec.json.decode(begun, type=LoginTransaction).dpop_jkt == ""


class OlderTokens(msgspec.Struct, frozen=True, kw_only=True):
    """As a version without proofs has them."""

    access_token: str
    expires_at: int
    issued_at: int
    route_tokens: tuple[Any, ...] = ()


def test_a_version_without_proofs_opens_records_with_them() -> None:
    route = RouteToken(name="r", access_token="t", expires_at=1, issued_at=0, jkt="j")
    new = Tokens(
        access_token="t", expires_at=2, issued_at=1, jkt="j", route_tokens=(route,)
    )  # fmt: skip
    assert msgspec.json.decode(msgspec.json.encode(new), type=OlderTokens).access_token == "t"


@pytest.mark.parametrize(
    ("value", "nonce"),
    [
        (None, ""), ("", ""), ("eyJ7S_zG.eyJH0-Z.HX4w-7v", "eyJ7S_zG.eyJH0-Z.HX4w-7v"),
        ('a"b', ""), ("a\\b", ""), ("a b", ""), ("a\r\nb", ""), ("é", ""), ("x" * 513, ""),
        ("x" * 512, "x" * 512),
    ],
)  # fmt: skip
def test_a_nonce_has_the_characters_of_one(value: str | None, nonce: str) -> None:
    assert usable_nonce(value) == nonce
