"""Has the browser signed this challenge with the key that it says it has?

A proof of Device Bound Session Credentials is a JWT in `Secure-Session-Response`, signed with
ES256 by a key that the browser can't copy. Chromium sends it bare, and the draft shows it in
quotation marks. Source: W3C Device Bound Session Credentials (Editor's Draft of 2026); RFC 7515;
RFC 7518, 3.4 and 6.2.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from bff.core.errors import DeviceProofInvalid

PROOF_MAX_CHARACTERS = 4_096
"""A registration has some 700: our challenge and our authorization are most of it."""
COORDINATE_BYTES = 32
KEY_BYTES = 2 * COORDINATE_BYTES
"""A public key on P-256: both coordinates."""

_BASE64URL = re.compile(r"[A-Za-z0-9_-]+")
_PRIVATE = frozenset({"d", "k", "p", "q", "dp", "dq", "qi", "oth"})


@dataclass(frozen=True, slots=True)
class DeviceProof:
    """A proof that is well-formed; nothing in it is verified before `refuse_other_key`.

    Attributes:
        challenge: What was signed (`jti`).
        authorization: What a registration passes back.
        key: The public key of a registration; None in a refresh, where the stored one counts.
    """

    challenge: str
    authorization: str
    key: bytes | None
    _signed: bytes
    _signature: bytes

    def refuse_other_key(self, key: bytes) -> None:
        """Return if this key has signed the proof.

        Args:
            key: The two coordinates, 64 bytes.

        Raises:
            DeviceProofInvalid: It hasn't, or is none.
        """
        r, s = _halves(self._signature)
        try:
            x, y = _halves(key)
            public = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
            public.verify(encode_dss_signature(r, s), self._signed, ec.ECDSA(SHA256()))
        except (InvalidSignature, ValueError) as error:
            raise DeviceProofInvalid("not signed by the session's key") from error


def read_proof(field: str | None) -> DeviceProof:
    """What a `Secure-Session-Response` says, before anything of it is verified.

    Args:
        field: Its value as WSGI has it; None if the request has none.

    Raises:
        DeviceProofInvalid: There is none, or it is no proof of this kind.
    """
    if not field:
        raise DeviceProofInvalid("no proof")
    if len(field) > PROOF_MAX_CHARACTERS:
        raise DeviceProofInvalid("a proof that is too long")
    bare = field[1:-1] if field[0] == field[-1] == '"' and len(field) > 1 else field
    parts = bare.split(".")
    if len(parts) != 3:
        raise DeviceProofInvalid("no JWT")
    header, payload = _json(parts[0]), _json(parts[1])
    if header.get("alg") != "ES256" or header.get("typ") != "dbsc+jwt" or "crit" in header:
        raise DeviceProofInvalid("another algorithm, type or extension")
    challenge, authorization = payload.get("jti"), payload.get("authorization", "")
    if not isinstance(challenge, str) or not challenge or not isinstance(authorization, str):
        raise DeviceProofInvalid("no challenge, or an authorization that is no text")
    signature = _decoded(parts[2])
    if len(signature) != KEY_BYTES:
        raise DeviceProofInvalid("no signature of ES256")
    key = _public_key(header["jwk"]) if "jwk" in header else None
    signed = f"{parts[0]}.{parts[1]}".encode()
    return DeviceProof(challenge, authorization, key, signed, signature)


def _public_key(jwk: Any) -> bytes:
    """The coordinates of *jwk*; whether they are a point of the curve, the signature shows."""
    if not isinstance(jwk, dict) or _PRIVATE & jwk.keys():
        raise DeviceProofInvalid("no public key")
    if jwk.get("kty") != "EC" or jwk.get("crv") != "P-256":
        raise DeviceProofInvalid("a key of another kind")
    coordinates = [_decoded(jwk.get(name)) for name in ("x", "y")]
    if any(len(one) != COORDINATE_BYTES for one in coordinates):
        raise DeviceProofInvalid("coordinates of another length")
    return b"".join(coordinates)


def _json(part: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(_decoded(part), type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DeviceProofInvalid("no JSON object in the JWT") from error


def _decoded(part: Any) -> bytes:
    if not isinstance(part, str) or not _BASE64URL.fullmatch(part) or len(part) % 4 == 1:
        raise DeviceProofInvalid("not base64url")
    raw = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    if base64.urlsafe_b64encode(raw).rstrip(b"=") != part.encode():
        raise DeviceProofInvalid("another spelling of base64url")
    return raw


def _halves(pair: bytes) -> tuple[int, int]:
    return int.from_bytes(pair[:COORDINATE_BYTES]), int.from_bytes(pair[COORDINATE_BYTES:])
