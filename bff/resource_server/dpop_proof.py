"""Does a DPoP proof show that whoever sent an access token has the key that it is bound to?

Every check of RFC 9449, 4.3, but that a proof is used once: that is asked with what else is asked
of Redis (`revoked_tokens.py`). The cheap checks come first: a signature is only checked by the key
that the provider has put into the token. Nothing is fetched, and nothing but `jwk` names a key.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry
from joserfc.jws import JWSRegistry

from bff.core.errors import ProofInvalid, TokenInvalid
from bff.resource_server.request_url import normalised

PROOF_MAX_CHARACTERS = 8 * 1024
"""Enough for an RSA key of 4096 bits and a long URL."""
JTI_MAX_CHARACTERS = 256
WINDOW_SECONDS = 60
"""How far `iat` may be from now, either way: two clocks differ, and a request takes a while."""

LIFETIME_SECONDS = 3 * WINDOW_SECONDS
"""How long a used proof is remembered: as long as any process takes it, though its clock may be
`WINDOW_SECONDS` behind that of the one that has taken it first."""

KEY_OF_ALGORITHM = {
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "Ed25519": ("OKP", "Ed25519"),
    # The older name of it (RFC 9864).
    "EdDSA": ("OKP", "Ed25519"),
    "PS256": ("RSA", None),
    "RS256": ("RSA", None),
}
"""The algorithms, all asymmetric, each with the type and the curve of its key."""
ALGORITHMS = " ".join(KEY_OF_ALGORITHM)
MEMBERS = {"EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x"), "RSA": ("e", "kty", "n")}
"""The public members of a key by its type, in the order of RFC 7638, 3.2."""
PRIVATE_MEMBERS = frozenset(("d", "p", "q", "dp", "dq", "qi", "oth", "k"))
RSA_BITS = range(2048, 4096 + 1)
RSA_EXPONENT_MAX = 2**32
"""A long one makes the check of a signature slow."""

_PROOF = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
_ENCODED = re.compile(r"[A-Za-z0-9_-]+")


ProofName = tuple[str, str, str]
"""Who checks a proof, the thumbprint of its key, and its `jti`: together they may come once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PresentedProof:
    """What a request says with an access token under the scheme `DPoP`.

    `fields` are the values of all its `DPoP` header fields, `url` is as the client called it. A
    proof is good once for each `checked_by`: an API may see one that a gateway has seen before.
    """

    fields: Sequence[str]
    method: str
    url: str
    checked_by: str = "api"


def bound_key(claims: Mapping[str, Any]) -> str | None:
    """The thumbprint of the key that a token is bound to; None if it is bound to none.

    Raises:
        TokenInvalid: It is bound to something that can't be compared.

    Source: RFC 7800, 3.1; RFC 9449, 6.1.
    """
    confirmation = claims.get("cnf")
    if confirmation is None:
        return None
    if not isinstance(confirmation, dict):
        raise TokenInvalid("cnf is no object")
    if "jkt" not in confirmation:
        return None
    if not isinstance(jkt := confirmation["jkt"], str) or not jkt:
        raise TokenInvalid("cnf.jkt is no text")
    return jkt


def checked_proof(presented: PresentedProof, access_token: str, jkt: str, now: float) -> ProofName:
    """Check the proof of a request; returns what must not have come before.

    Args:
        presented: The request.
        access_token: As it was sent.
        jkt: The thumbprint that its `cnf` has.
        now: UTC epoch seconds.

    Raises:
        ProofInvalid: It isn't valid; the detail has the reason, for the log.
    """
    header, claims, signed, signature = _parts(presented.fields)
    algorithm, key = _key(header)
    if thumbprint(key) != jkt:
        raise ProofInvalid("by another key than that of the token")
    jti = _check_claims(claims, presented, access_token, now)
    try:
        checking = JWSRegistry.algorithms[algorithm]
        imported = JWKRegistry.import_key({**key})
        checking.check_key(imported)
        valid = checking.verify(signed, signature, imported)
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise ProofInvalid(f"unusable key: {type(error).__name__}") from error
    if not valid:
        raise ProofInvalid("the signature is wrong")
    return presented.checked_by, jkt, jti


def thumbprint(key: Mapping[str, str]) -> str:
    """The SHA-256 thumbprint of a public JWK that has its required members only (RFC 7638)."""
    text = json.dumps(key, separators=(",", ":"), sort_keys=True)
    return _digest(text)


def _parts(fields: Sequence[str]) -> tuple[dict[str, Any], dict[str, Any], bytes, bytes]:
    """Header, claims, what was signed, and the signature."""
    # Of two fields some servers make one, with a comma, which is no JWT.
    if len(fields) != 1:
        raise ProofInvalid(f"{len(fields)} DPoP fields")
    if len(fields[0]) > PROOF_MAX_CHARACTERS:
        raise ProofInvalid("too long")
    if (found := _PROOF.fullmatch(fields[0])) is None:
        raise ProofInvalid("no JWT")
    try:
        header, claims = _object(found[1]), _object(found[2])
        signature = _decoded(found[3])
    except (ValueError, RecursionError) as error:
        raise ProofInvalid(f"no JWT: {type(error).__name__}") from error
    return header, claims, f"{found[1]}.{found[2]}".encode(), signature


def _key(header: dict[str, Any]) -> tuple[str, dict[str, str]]:
    """The algorithm, and the public key in a header that has the right type."""
    if header.get("typ") != "dpop+jwt":
        raise ProofInvalid("typ isn't dpop+jwt")
    # We know none of the extensions that may be critical (RFC 7515, 4.1.11), b64 among them.
    if "crit" in header or "b64" in header:
        raise ProofInvalid("crit")
    algorithm, jwk = header.get("alg"), header.get("jwk")
    if not isinstance(algorithm, str) or algorithm not in KEY_OF_ALGORITHM:
        raise ProofInvalid("alg is none of ours")
    if not isinstance(jwk, dict):
        raise ProofInvalid("no jwk")
    if not PRIVATE_MEMBERS.isdisjoint(jwk):
        raise ProofInvalid("the key in it isn't public")
    kty, curve = KEY_OF_ALGORITHM[algorithm]
    if (jwk.get("kty"), jwk.get("crv", curve)) != (kty, curve):
        raise ProofInvalid("the key isn't one for alg")
    if jwk.get("use", "sig") != "sig" or jwk.get("alg", algorithm) != algorithm:
        raise ProofInvalid("the key is for something else")
    key: dict[str, str] = {}
    for name in MEMBERS[kty]:
        if not isinstance(one := jwk.get(name), str) or not _ENCODED.fullmatch(one):
            raise ProofInvalid("a member of the key is missing or malformed")
        key[name] = one
    if kty == "RSA":
        _check_size(key)
    return algorithm, key


def _check_size(rsa_key: Mapping[str, Any]) -> None:
    try:
        n, e = (int.from_bytes(_decoded(rsa_key[name]), "big") for name in ("n", "e"))
    except ValueError as error:
        raise ProofInvalid("a member of the key is malformed") from error
    if n.bit_length() not in RSA_BITS or e > RSA_EXPONENT_MAX:
        raise ProofInvalid("the key's size")


def _check_claims(
    claims: Mapping[str, Any], presented: PresentedProof, access_token: str, now: float
) -> str:
    """Check all claims; returns `jti`."""
    if not (presented.method and presented.url):
        raise ProofInvalid("TokenGuard.verify() wasn't told the method and the URL")
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 1 <= len(jti) <= JTI_MAX_CHARACTERS or not _is_text(jti):
        raise ProofInvalid("jti is missing, too long or no text")
    if claims.get("htm") != presented.method:
        raise ProofInvalid("htm is another method")
    if claims.get("ath") != _digest(access_token):
        raise ProofInvalid("ath is that of another token")
    if abs(_instant(claims, "iat") - now) > WINDOW_SECONDS:
        raise ProofInvalid("iat is too far from now")
    # Not of RFC 9449, but of every JWT that has them (RFC 7519, 4.1).
    if "exp" in claims and now >= _instant(claims, "exp"):
        raise ProofInvalid("expired")
    if "nbf" in claims and now + WINDOW_SECONDS < _instant(claims, "nbf"):
        raise ProofInvalid("not valid yet")
    _check_url(claims.get("htu"), presented.url)
    return jti


def _check_url(htu: object, url: str) -> None:
    if not isinstance(htu, str):
        raise ProofInvalid("htu is no text")
    try:
        signed, called = normalised(htu), normalised(url)
    except ValueError as error:
        raise ProofInvalid("htu, or what the API takes for its address, is no URL") from error
    if signed == called:
        return
    # What goes wrong behind a proxy; paths may name people.
    places = ["/".join(one.split("/")[:3]) for one in (signed, called)]
    if places[0] == places[1]:
        raise ProofInvalid("htu has another path")
    raise ProofInvalid(f"htu is at {places[0]}, and this API takes itself for {places[1]}")


def _instant(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    try:
        if not isinstance(value, bool) and isinstance(value, int | float) and math.isfinite(value):
            return value
    except OverflowError:  # A whole number beyond those of a clock.
        pass
    raise ProofInvalid(f"{name} is no instant")


def _is_text(text: str) -> bool:
    """Whether it can be written as UTF-8: JSON may have half a character."""
    return text == text.encode("utf-8", "replace").decode()


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _object(part: str) -> dict[str, Any]:
    found = json.loads(
        _decoded(part).decode(), object_pairs_hook=_without_repeated, parse_constant=_refuse
    )
    if not isinstance(found, dict):
        raise ValueError("no object")
    return found


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _without_repeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Parsers differ about which of two members counts."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name comes twice")
    return found


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")
