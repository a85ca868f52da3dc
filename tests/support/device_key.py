"""What does a browser do with the key of a device-bound session? As Chromium does, in software."""

from __future__ import annotations

import base64
import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256


class DeviceKey:
    """A key on P-256.

    Attributes:
        private: The key itself.
        public: Both coordinates, 64 bytes.
        jwk: The same as a registration has it.
    """

    def __init__(self) -> None:
        self.private = ec.generate_private_key(ec.SECP256R1())
        numbers = self.private.public_key().public_numbers()
        x, y = numbers.x.to_bytes(32), numbers.y.to_bytes(32)
        self.public = x + y
        self.jwk = {"kty": "EC", "crv": "P-256", "x": base64url(x), "y": base64url(y)}

    def signed(self, header: Any, claims: Any) -> str:
        """A JWT with this header, whatever it says."""
        parts = (json.dumps(header).encode(), json.dumps(claims).encode())
        signed = ".".join(map(base64url, parts))
        r, s = decode_dss_signature(self.private.sign(signed.encode(), ec.ECDSA(SHA256())))
        return f"{signed}.{base64url(r.to_bytes(32) + s.to_bytes(32))}"

    def registration(self, challenge: str, authorization: str) -> str:
        """The proof with which a browser registers its key."""
        header = {"alg": "ES256", "typ": "dbsc+jwt", "jwk": self.jwk}
        return self.signed(header, {"jti": challenge, "authorization": authorization})

    def refresh(self, challenge: str) -> str:
        """The proof with which it gets the next short-lived cookie."""
        return self.signed({"alg": "ES256", "typ": "dbsc+jwt"}, {"jti": challenge})


def base64url(raw: bytes) -> str:
    """*raw* without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
