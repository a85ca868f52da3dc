"""Under which name does Redis know something whose own name must not be readable there?

HMAC-SHA-256 under a derived key. With several keys the newest names, and all are looked for, so
that keys can be rotated. Only the standard library is needed here: an API that looks for names of
ours has the derived key and nothing else of us.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

KEY_BYTES = 32


class KeyedHashes:
    """Makes names from derived keys.

    Args:
        keys: The derived keys, newest first; 32 bytes each.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys or any(len(key) != KEY_BYTES for key in keys):
            raise ValueError(f"at least one key is needed, of {KEY_BYTES} bytes each")
        self._keys = tuple(keys)

    @classmethod
    def from_text(cls, text: str) -> KeyedHashes:
        """Read what `as_text` wrote; raises ValueError for anything else."""
        return cls([bytes.fromhex(part) for part in text.split(",")])

    def as_text(self) -> str:
        """The keys in hex, comma-separated, newest first. A secret."""
        return ",".join(key.hex() for key in self._keys)

    def name(self, purpose: str, *values: str) -> str:
        """The name under which *values* are written: 256 bits in hex, under the newest key."""
        return _keyed_hash(self._keys[0], purpose, values)

    def names(self, purpose: str, *values: str) -> list[str]:
        """Every name under which *values* may have been written, the newest key's first."""
        return [_keyed_hash(key, purpose, values) for key in self._keys]


def _keyed_hash(key: bytes, purpose: str, values: Sequence[str]) -> str:
    # Each part carries its length, so that ("a", "bc") and ("ab", "c") differ.
    parts = b"".join(
        len(part).to_bytes(4, "big") + part for part in (purpose.encode(), *map(str.encode, values))
    )
    return hmac.new(key, parts, hashlib.sha256).hexdigest()
