"""How does a test get access tokens that are bound to a key, and proofs of it?"""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from typing import Any

from joserfc.jwk import ECKey, Key, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from bff.resource_server.dpop_proof import thumbprint
from tests.support.issuer import encode, token

KEY = ECKey.generate_key("P-256")
OTHER_KEY = ECKey.generate_key("P-256")
KEYS: dict[str, Key] = {
    "ES256": KEY,
    "ES384": ECKey.generate_key("P-384"),
    "Ed25519": OKPKey.generate_key("Ed25519"),
    "EdDSA": OKPKey.generate_key("Ed25519"),
    "PS256": RSAKey.generate_key(2048),
    "RS256": RSAKey.generate_key(2048),
}
METHOD, URL = "GET", "https://api.test/items"

_PUBLIC = {"EC": ("crv", "x", "y"), "OKP": ("crv", "x"), "RSA": ("e", "n")}


def public(key: Key) -> dict[str, str]:
    """The JWK with its required members only."""
    members = key.as_dict(private=False)
    return {name: str(members[name]) for name in ("kty", *_PUBLIC[key.key_type])}


def bound_token(key: Key = KEY, **changes: Any) -> str:
    """An access token of the tests' issuer that is bound to *key*."""
    return token(**({"cnf": {"jkt": thumbprint(public(key))}} | changes))


def header(key: Key = KEY, **changes: Any) -> dict[str, Any]:
    """The header of a proof with *changes*; None removes a member."""
    usual = {"typ": "dpop+jwt", "alg": "ES256", "jwk": public(key)}
    return {name: one for name, one in (usual | changes).items() if one is not None}


def claims(access_token: str, **changes: Any) -> dict[str, Any]:
    """The claims of a proof with *changes*; None removes one."""
    usual = {
        "jti": str(uuid.uuid4()),
        "htm": METHOD,
        "htu": URL,
        "iat": int(time.time()),
        "ath": encode(hashlib.sha256(access_token.encode()).digest()),
    }
    return {name: one for name, one in (usual | changes).items() if one is not None}


def proof(
    access_token: str,
    key: Key = KEY,
    head: dict[str, Any] | None = None,
    *,
    signer: Key | None = None,
    **changes: Any,
) -> str:
    """A proof for *access_token*, signed with *key*; *head* and *changes* are of its two parts."""
    shown = header(key, **(head or {}))
    payload = claims(access_token, **changes)
    alg = shown["alg"] if isinstance(shown.get("alg"), str) else "ES256"
    return signed_text(json.dumps(shown), json.dumps(payload), signer or key, alg)


def signed_text(head: str, payload: str, key: Key = KEY, alg: str = "ES256") -> str:
    """A JWS of two texts, whatever they are."""
    content = f"{encode(head.encode())}.{encode(payload.encode())}"
    algorithm = JWSRegistry.algorithms.get(alg, JWSRegistry.algorithms["ES256"])
    return f"{content}.{encode(algorithm.sign(content.encode(), key))}"
