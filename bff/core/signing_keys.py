"""Which of an issuer's public keys can have made a signature?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, Key

KEY_TYPES = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}
"""By the first two letters of the algorithm; symmetric keys are none of them."""


def imported_key(entry: Any) -> Key | None:
    """The public key in an entry of a JWKS; None if it isn't one for signatures, or unreadable.

    One unreadable key must not make the others useless (RFC 7517, 5).
    """
    if not isinstance(entry, dict) or entry.get("kty") not in KEY_TYPES.values():
        return None
    if entry.get("use", "sig") != "sig":
        return None
    try:
        return JWKRegistry.import_key(entry)
    except (JoseError, ValueError, TypeError, KeyError):
        return None


def matching_key(keys: Iterable[Key], alg: str, kid: str | None) -> Key | None:
    """The one of *keys* that a token's header names.

    Without a `kid`, only one key may fit (OpenID Connect Core, 10.1).
    """
    fitting = [key for key in keys if _fits(key, alg)]
    if kid is None:
        return fitting[0] if len(fitting) == 1 else None
    return next((key for key in fitting if key.get("kid") == kid), None)


def _fits(key: Key, alg: str) -> bool:
    return key.key_type == KEY_TYPES.get(alg[:2]) and key.get("alg", alg) == alg
