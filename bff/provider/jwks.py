"""Which public key of the provider made a signature?

Only keys that the provider's JWKS lists count. What a token brings along (`jwk`, `jku`, `x5c`)
is never looked at, and symmetric keys in the list are passed over.
"""

from __future__ import annotations

from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, Key

from bff.core.errors import ProviderUnavailable

KEYS_MAX = 100


class JWKS:
    """The provider's keys for signatures.

    Args:
        document: The JWKS as parsed from JSON (RFC 7517, 5).

    Raises:
        ProviderUnavailable: Not a JWKS, or one without a usable key.
    """

    def __init__(self, document: Any) -> None:
        entries = document.get("keys") if isinstance(document, dict) else None
        if not isinstance(entries, list):
            raise ProviderUnavailable("the provider's keys are not a JWKS")
        # A key that we can't read must not take the others with it (RFC 7517, 5).
        self._keys = [key for entry in entries[:KEYS_MAX] if (key := _imported(entry)) is not None]
        if not self._keys:
            raise ProviderUnavailable("the provider lists no key for signatures")

    def find(self, alg: str, kid: str | None) -> Key | None:
        """The key that a token's header names.

        Without a `kid` there must be no choice (OpenID Connect Core, 10.1).
        """
        fitting = [key for key in self._keys if _fits(key, alg)]
        if kid is None:
            return fitting[0] if len(fitting) == 1 else None
        return next((key for key in fitting if key.get("kid") == kid), None)


def _imported(entry: Any) -> Key | None:
    if not isinstance(entry, dict) or entry.get("kty") not in ("RSA", "EC", "OKP"):
        return None
    if entry.get("use", "sig") != "sig":
        return None
    try:
        return JWKRegistry.import_key(entry)
    except (JoseError, ValueError, TypeError, KeyError):
        return None


def _fits(key: Key, alg: str) -> bool:
    kty = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}.get(alg[:2])
    return key.key_type == kty and key.get("alg", alg) == alg
