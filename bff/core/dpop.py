"""How does the BFF prove that an access token is its own (DPoP, RFC 9449)?

The private keys are derived from the sealing keys, so that nothing is stored and every replica has
the same. The newest one proves; an older one goes on proving the tokens that were issued for it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets as random
import time
from collections.abc import Callable, Iterable
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

ALGORITHM = "ES256"
SCALAR_BYTES = 48
"""Half as many again as the order has, so that the remainder is as good as uniform (FIPS 186-5)."""
COORDINATE_BYTES = 32
JTI_BYTES = 16
# SEC 2, 2.4.2: the order of P-256.
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
NONCE_MAX_CHARACTERS = 512

_ES256 = ec.ECDSA(SHA256())


class BoundToken(str):
    """An access token that opens something only together with a proof by the key `jkt`."""

    jkt: str
    """The thumbprint of the key (RFC 7638; RFC 9449, 6.1)."""

    def __new__(cls, access_token: str, jkt: str) -> BoundToken:
        """The token *access_token*, bound to the key with the thumbprint *jkt*."""
        token = super().__new__(cls, access_token)
        token.jkt = jkt
        return token


class IssuedToken(Protocol):
    """What a session, a route or a token response has of an access token."""

    @property
    def access_token(self) -> str:
        """As the provider issued it."""

    @property
    def jkt(self) -> str:
        """The thumbprint of the key that it is bound to; empty for a bearer token."""


def sendable(token: IssuedToken) -> str:
    """The access token of *token*: a `BoundToken` if it is bound to a key."""
    return BoundToken(token.access_token, token.jkt) if token.jkt else token.access_token


class DPoPKey:
    """One private key.

    Args:
        secret: The sealing key that it is derived from.
        clock: UTC epoch seconds.
    """

    def __init__(self, secret: str, clock: Callable[[], float] = time.time) -> None:
        derived = HKDF(SHA256(), SCALAR_BYTES, salt=None, info=b"bff dpop v1").derive(
            secret.encode()
        )
        scalar = int.from_bytes(derived) % (ORDER - 1) + 1
        self._key = ec.derive_private_key(scalar, ec.SECP256R1())
        self._clock = clock
        point = self._key.public_key().public_numbers()
        x, y = (_base64url(one.to_bytes(COORDINATE_BYTES)) for one in (point.x, point.y))
        # The order of RFC 7638, section 3: a thumbprint is the hash of exactly these bytes.
        jwk = {"crv": "P-256", "kty": "EC", "x": x, "y": y}
        self.jkt = _base64url(hashlib.sha256(_json(jwk)).digest())
        """The thumbprint."""
        header = {"typ": "dpop+jwt", "alg": ALGORITHM, "jwk": jwk}
        self._header = _base64url(_json(header))

    def proof(self, method: str, url: str, *, access_token: str = "", nonce: str = "") -> str:
        """A new proof for one request.

        Args:
            method: Of the request.
            url: Where it goes; query and fragment are left out.
            access_token: That comes with it; empty at the token endpoint.
            nonce: The newest one that the server gave; empty if it gave none.

        Source: RFC 9449, section 4.2.
        """
        claims: dict[str, str | int] = {
            "jti": random.token_urlsafe(JTI_BYTES),
            "htm": method,
            "htu": url.partition("#")[0].partition("?")[0],
            "iat": int(self._clock()),
        }
        if access_token:
            claims["ath"] = _base64url(hashlib.sha256(access_token.encode()).digest())
        if nonce:
            claims["nonce"] = nonce
        signed = f"{self._header}.{_base64url(_json(claims))}"
        r, s = decode_dss_signature(self._key.sign(signed.encode(), _ES256))
        signature = r.to_bytes(COORDINATE_BYTES) + s.to_bytes(COORDINATE_BYTES)
        return f"{signed}.{_base64url(signature)}"


class DPoPKeys:
    """The keys of all sealing keys.

    Args:
        secrets: The sealing keys, newest first.
        clock: UTC epoch seconds.
    """

    def __init__(self, secrets: Iterable[str], clock: Callable[[], float] = time.time) -> None:
        keys = [DPoPKey(secret, clock) for secret in secrets]
        self.newest = keys[0]
        """For the tokens that are asked for from now on."""
        self._by_thumbprint = {key.jkt: key for key in keys}

    def __contains__(self, jkt: str) -> bool:
        """Whether tokens that are bound to the key with this thumbprint can be used."""
        return jkt in self._by_thumbprint

    def of(self, jkt: str) -> DPoPKey | None:
        """The key with this thumbprint; None if its sealing key isn't configured any more."""
        return self._by_thumbprint.get(jkt)


def usable_nonce(value: str | None) -> str:
    """The value of a `DPoP-Nonce` field; empty if there is none that a nonce can be.

    Source: RFC 9449, section 8.1 (`NQCHAR`).
    """
    if not value or len(value) > NONCE_MAX_CHARACTERS or not value.isascii():
        return ""
    return value if all("!" <= one <= "~" and one not in '"\\' for one in value) else ""


def _base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
