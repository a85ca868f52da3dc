"""Which signing keys does a JWKS of the provider list?

Symmetric keys and keys that can't be read are ignored.
"""

from __future__ import annotations

from typing import Any

from joserfc.jwk import Key

from bff.core.errors import ProviderUnavailable
from bff.core.signing_keys import imported_key, matching_keys

KEYS_MAX = 100


class JWKS:
    """The provider's signing keys.

    Args:
        document: The JWKS as parsed from JSON (RFC 7517, 5).

    Raises:
        ProviderUnavailable: Not a JWKS, or one without a usable key.
    """

    def __init__(self, document: Any) -> None:
        entries = document.get("keys") if isinstance(document, dict) else None
        if not isinstance(entries, list):
            raise ProviderUnavailable("the provider's keys are not a JWKS")
        found = (imported_key(entry) for entry in entries[:KEYS_MAX])
        self._keys = [key for key in found if key is not None]
        if not self._keys:
            raise ProviderUnavailable("the provider lists no key for signatures")

    def find(self, alg: str, kid: str | None) -> list[Key]:
        """The keys that a token's header names; without a `kid`, only one key may fit."""
        return matching_keys(self._keys, alg, kid)
