"""Which key name stands in Redis for a value that must not be readable there?

An HMAC-SHA-256 under a derived key. With several keys, a name is written under the newest and
looked up under each, so keys can be rotated. This file needs only the standard library: an API
that looks up our names has the derived key and none of our other code.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence

KEY_BYTES = 32


class KeyedHashes:
    """Makes names with derived keys.

    Args:
        keys: The derived keys, newest first; 32 bytes each.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys or any(len(key) != KEY_BYTES for key in keys):
            raise ValueError(f"at least one key is needed, of {KEY_BYTES} bytes each")
        self._keys = tuple(keys)

    @classmethod
    def from_text(cls, text: str) -> KeyedHashes:
        """The inverse of `as_text`; raises ValueError for any other text."""
        return cls([bytes.fromhex(part) for part in text.split(",")])

    def as_text(self) -> str:
        """The keys in hex, comma-separated, newest first. A secret."""
        return ",".join(key.hex() for key in self._keys)

    def name(self, purpose: str, *values: str) -> str:
        """The name of *values* under the newest key, for writing: 256 bits in hex."""
        return _keyed_hash(self._keys[0], purpose, values)

    def names(self, purpose: str, *values: str) -> list[str]:
        """The name of *values* under each key, the newest first, for looking it up."""
        return [_keyed_hash(key, purpose, values) for key in self._keys]


def _keyed_hash(key: bytes, purpose: str, values: Sequence[str]) -> str:
    # Each part is preceded by its length, so that ("a", "bc") and ("ab", "c") differ.
    parts = b"".join(
        len(part).to_bytes(4, "big") + part for part in (purpose.encode(), *map(str.encode, values))
    )
    return hmac.digest(key, parts, "sha256").hex()
