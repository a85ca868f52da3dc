"""Which keys sign the provider's tokens, and which are published?"""

from collections.abc import Mapping
from threading import Lock
from typing import Any

from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

RSA_KEY_BITS = 2048


def make_key(kid: str) -> RSAKey:
    """A new key of this name that signs tokens."""
    return RSAKey.generate_key(RSA_KEY_BITS, parameters={"use": "sig", "alg": "RS256", "kid": kid})


class SigningKeys:
    """RSA keys, newest first; the newest signs, all are published."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._made = 0
        self._keys: list[RSAKey] = []
        self.rotate()

    def rotate(self, drop_old: bool = False) -> str:
        """Sign with a new key from now on.

        Args:
            drop_old: Stop publishing the old keys, so that their tokens can't be verified.

        Returns:
            The new key's `kid`.
        """
        with self._lock:
            self._made += 1
            kid = f"demo-{self._made}"
            key = make_key(kid)
            self._keys = [key] if drop_old else [key, *self._keys]
            return kid

    @property
    def current(self) -> RSAKey:
        with self._lock:
            return self._keys[0]

    def key_set(self) -> KeySet:
        """The keys that verify the provider's tokens."""
        with self._lock:
            return KeySet(list(self._keys))

    def public_jwks(self) -> dict[str, Any]:
        """The document of `/.well-known/jwks.json` (RFC 7517, section 5)."""
        with self._lock:
            return {"keys": [key.as_dict(private=False) for key in self._keys]}

    def sign(self, claims: Mapping[str, Any], typ: str = "JWT") -> str:
        """Return a compact JWT, RS256, signed with the newest key."""
        key = self.current
        header = {"alg": "RS256", "typ": typ, "kid": key.kid}
        return jwt.encode(header, dict(claims), key, ["RS256"])
