"""Which DPoP proofs must every API refuse? By a name, as the fields that come with a token."""

from __future__ import annotations

import hmac
import json
import time
import warnings
from collections.abc import Callable
from typing import Any

from joserfc.jwk import ECKey, OKPKey, RSAKey

from tests.support.dpop_proofs import (
    KEY,
    KEYS,
    OTHER_KEY,
    bound_token,
    claims,
    header,
    proof,
    public,
    signed_text,
)
from tests.support.issuer import encode

Forge = Callable[[str], tuple[str, ...]]
"""Makes the `DPoP` fields for an access token that is bound to `KEY`."""

with warnings.catch_warnings(action="ignore"):
    WEAK_RSA = RSAKey.generate_key(1024)
P521 = ECKey.generate_key("P-521")
SECP256K1 = ECKey.generate_key("secp256k1")
ED448 = OKPKey.generate_key("Ed448")


def now() -> int:
    """UTC epoch seconds."""
    return int(time.time())


def _with(head: dict[str, Any] | None = None, **changes: Any) -> Forge:
    return lambda token: (proof(token, KEY, head, **changes),)


def _jwk(**changes: Any) -> Forge:
    """With another key in the header; None removes a member."""
    jwk = {name: one for name, one in (public(KEY) | changes).items() if one is not None}
    return lambda token: (signed_text(json.dumps(header(jwk=jwk)), json.dumps(claims(token))),)


def _header_text(change: Callable[[str], str]) -> Forge:
    return lambda token: (signed_text(change(json.dumps(header())), json.dumps(claims(token))),)


def _payload_text(change: Callable[[str], str]) -> Forge:
    return lambda token: (signed_text(json.dumps(header()), change(json.dumps(claims(token)))),)


def _unsigned(token: str) -> tuple[str, ...]:
    return (f"{encode(header(alg='none'))}.{encode(claims(token))}.",)


def _none_with_signature(token: str) -> tuple[str, ...]:
    return (f"{encode(header(alg='none'))}.{encode(claims(token))}.AAAA",)


def _hmac(token: str, **head: Any) -> tuple[str, ...]:
    """With the public key as the secret (RFC 8725, 2.1)."""
    content = f"{encode(header(alg='HS256', **head))}.{encode(claims(token))}"
    mac = hmac.digest(KEY.as_pem(private=False), content.encode(), "sha256")
    return (f"{content}.{encode(mac)}",)


def _hmac_with_its_own_secret(token: str) -> tuple[str, ...]:
    jwk = {"kty": "oct", "k": encode(b"s" * 32)}
    content = f"{encode(header(alg='HS256', jwk=jwk))}.{encode(claims(token))}"
    return (f"{content}.{encode(hmac.digest(b's' * 32, content.encode(), 'sha256'))}",)


def _changed_after(token: str) -> tuple[str, ...]:
    head, _, signature = proof(token, htm="POST").split(".")
    return (f"{head}.{encode(claims(token))}.{signature}",)


def _signature_as_der(token: str) -> tuple[str, ...]:
    content, _, signature = proof(token).rpartition(".")
    return (f"{content}.{encode(b'0E' + signature.encode())}",)


FORGED: dict[str, Forge] = {
    # ------------------------------------------------------------ the fields
    "no field": lambda token: (),
    "an empty field": lambda token: ("",),
    "two fields": lambda token: (proof(token), proof(token)),
    "two fields, made one": lambda token: (f"{proof(token)},{proof(token)}",),
    "two fields, made one with a space": lambda token: (f"{proof(token)}, {proof(token)}",),
    "a good and an empty field": lambda token: (proof(token), ""),
    "with its scheme": lambda token: (f"DPoP {proof(token)}",),
    "in quotes": lambda token: (f'"{proof(token)}"',),
    "with a line end": lambda token: (f"{proof(token)}\n",),
    "with a space": lambda token: (f" {proof(token)}",),
    "padded": lambda token: (f"{proof(token)}==",),
    "beyond ASCII": lambda token: (f"{proof(token)}é",),
    "the access token itself": lambda token: (token,),
    "huge": lambda token: (proof(token, padding="x" * 9_000),),
    "a megabyte": lambda token: ("a" * 1_000_000,),
    # ------------------------------------------------------------ no JWT
    "two parts": lambda token: (proof(token).rpartition(".")[0],),
    "four parts": lambda token: (f"{proof(token)}.AAAA",),
    "an encrypted one": lambda token: (f"{proof(token)}.AAAA.AAAA",),
    "no signature": lambda token: (proof(token).rpartition(".")[0] + ".",),
    "a part of an impossible length": lambda token: (f"A{proof(token)}",),
    "a header that is no JSON": _header_text(lambda text: text[:-1]),
    "a header with a byte order mark": _header_text(lambda text: f"\ufeff{text}"),
    "a header that is a list": _header_text(lambda text: f"[{text}]"),
    "a deep header": _header_text(lambda text: "[" * 3_000),
    "claims that are text": _payload_text(lambda text: json.dumps(text)),
    "claims with NaN": _payload_text(lambda text: f'{text[:-1]}, "x": NaN}}'),
    "alg twice": _header_text(lambda text: f'{text[:-1]}, "alg": "ES256"}}'),
    "a member of jwk twice": _header_text(lambda text: text.replace('"crv"', '"kty": "EC", "crv"')),
    "jti twice": _payload_text(lambda text: f'{text[:-1]}, "jti": "another"}}'),
    "htu twice": _payload_text(lambda text: '{"htu": "https://api.test/other", ' + text[1:]),
    # ------------------------------------------------------------ the header
    "no typ": _with({"typ": None}),
    "typ JWT": _with({"typ": "JWT"}),
    "typ of an access token": _with({"typ": "at+jwt"}),
    "typ of a device-bound session": _with({"typ": "dbsc+jwt"}),
    "typ that is a list": _with({"typ": ["dpop+jwt"]}),
    "no alg": _with({"alg": None}),
    "alg none": _unsigned,
    "alg none with something as signature": _none_with_signature,
    "alg NONE": _with({"alg": "NONE"}),
    "alg that is a list": _with({"alg": ["ES256"]}),
    "alg that is null": _header_text(lambda text: text.replace('"ES256"', "null")),
    "alg in other letters": _with({"alg": "es256"}),
    "symmetric, with the public key": _hmac,
    "symmetric, with its secret inside": _hmac_with_its_own_secret,
    "ES512": lambda token: (proof(token, P521, {"alg": "ES512"}),),
    "ES256K": lambda token: (proof(token, SECP256K1, {"alg": "ES256K"}),),
    "Ed448": lambda token: (proof(token, ED448, {"alg": "Ed448"}),),
    "EdDSA with Ed448": lambda token: (proof(token, ED448, {"alg": "EdDSA"}),),
    "RS512": lambda token: (proof(token, KEYS["RS256"], {"alg": "RS512"}),),
    "an algorithm for another key": _with({"alg": "ES384"}),
    "an RSA key of 1024 bits": lambda token: (proof(token, WEAK_RSA, {"alg": "RS256"}),),
    "crit": _with({"crit": ["x"], "x": 1}),
    "crit that is empty": _with({"crit": []}),
    "content that isn't encoded": _with({"crit": ["b64"], "b64": False}),
    "b64 without crit": _with({"b64": False}),
    # ------------------------------------------------------------ the key
    "no key": _with({"jwk": None}),
    "a key that is text": _with({"jwk": json.dumps(public(KEY))}),
    "a set of keys": _with({"jwk": {"keys": [public(KEY)]}}),
    "a private key": _with({"jwk": KEY.as_dict(private=True)}),
    "an empty private member": _jwk(d=""),
    "a private RSA key": lambda token: (
        proof(token, KEYS["RS256"], {"alg": "RS256", "jwk": KEYS["RS256"].as_dict(private=True)}),
    ),
    "a key with a secret in it": _jwk(k="c2VjcmV0"),
    "a key without a type": _jwk(kty=None),
    "a key without y": _jwk(y=None),
    "a key with a number": _jwk(x=7),
    "a key with a list": _jwk(x=[public(KEY)["x"]]),
    "a key beyond its alphabet": _jwk(x=public(KEY)["x"][:-1] + "+"),
    "a padded key": _jwk(x=public(KEY)["x"] + "="),
    "a point that isn't on the curve": _jwk(y=public(OTHER_KEY)["y"]),
    "the point at infinity": _jwk(x="A" * 43, y="A" * 43),
    "a key of another curve": _jwk(crv="P-384"),
    "a key of a curve that is no text": _jwk(crv=["P-256"]),
    "a key for encryption": _jwk(use="enc"),
    "a key for another algorithm": _jwk(alg="ES384"),
    "another key": lambda token: (proof(token, OTHER_KEY),),
    "another key, with the name of the right one": lambda token: (
        proof(token, OTHER_KEY, {"kid": "k1", "x5t#S256": "x"}),
    ),
    "the right key, signed by another": lambda token: (proof(token, signer=OTHER_KEY),),
    "the right key, and addresses of another": lambda token: (
        proof(
            token,
            KEY,
            {"jku": "http://127.0.0.1:1/keys", "x5u": "http://127.0.0.1:1/", "x5c": ["AAAA"]},
            signer=OTHER_KEY,
        ),
    ),
    # ------------------------------------------------------------ the signature
    "changed afterwards": _changed_after,
    "a signature as DER": _signature_as_der,
    "a signature of zeros": lambda token: (proof(token).rpartition(".")[0] + "." + "A" * 86,),
    "an empty signature in its place": lambda token: (proof(token)[:-86],),
    # ------------------------------------------------------------ the claims
    "no jti": _with(jti=None),
    "an empty jti": _with(jti=""),
    "a jti that is a number": _with(jti=7),
    "a jti that is a list": _with(jti=["7"]),
    "a jti that is too long": _with(jti="j" * 257),
    "a jti with half a character": _with(jti="\ud800"),
    "no htm": _with(htm=None),
    "another method": _with(htm="POST"),
    "the method in small letters": _with(htm="get"),
    "a list of methods": _with(htm=["GET"]),
    "no htu": _with(htu=None),
    "an htu that is a list": _with(htu=["https://api.test/items"]),
    "another path": _with(htu="https://api.test/items/7"),
    "a path in other letters": _with(htu="https://api.test/Items"),
    "a slash more": _with(htu="https://api.test/items/"),
    "a slash twice": _with(htu="https://api.test//items"),
    "a path only": _with(htu="/items"),
    "another host": _with(htu="https://api.test.evil.example/items"),
    "another scheme": _with(htu="http://api.test/items"),
    "another port": _with(htu="https://api.test:8443/items"),
    "a port that is none": _with(htu="https://api.test:99999/items"),
    "a user in it": _with(htu="https://api.test@evil.example/items"),
    "a user before it": _with(htu="https://user@api.test/items"),
    "an address with a line end": _with(htu="https://api.test/items\n"),
    "an address with a tab": _with(htu="https://api.te\tst/items"),
    "a backslash in it": _with(htu="https:\\\\api.test\\items"),
    "an encoded slash": _with(htu="https://api.test%2Fitems"),
    "a broken encoding": _with(htu="https://api.test/items%2"),
    "a host beyond ASCII": _with(htu="https://аpi.test/items"),
    "a letter that is an s in capitals": _with(htu="http\u017f://api.test/items"),
    "an address that isn't http": _with(htu="ftp://api.test/items"),
    "no iat": _with(iat=None),
    "an iat that is text": lambda token: (proof(token, iat=str(now())),),
    "an iat that is true": _with(iat=True),
    "an iat in milliseconds": lambda token: (proof(token, iat=now() * 1000),),
    "an iat that no clock has": _with(iat=10**400),
    "an infinite iat": _payload_text(lambda text: text.replace('"iat": ', '"iat": 1e999')),
    "old": lambda token: (proof(token, iat=now() - 62),),
    "of the future": lambda token: (proof(token, iat=now() + 65),),
    "expired by its own word": lambda token: (proof(token, exp=now() - 1),),
    "not valid yet by its own word": lambda token: (proof(token, nbf=now() + 90),),
    "an exp that is text": _with(exp="tomorrow"),
    "no ath": _with(ath=None),
    "the ath of another token": lambda token: (
        proof(token, ath=claims(bound_token(sub="bob"))["ath"]),
    ),
    "the ath in other letters": lambda token: (proof(token, ath=claims(token)["ath"].upper()),),
    "a padded ath": lambda token: (proof(token, ath=claims(token)["ath"] + "="),),
    "an ath beyond ASCII": _with(ath="é" * 43),
}
