"""By which names does the deny-list know an access token?

By what was signed: header and payload. A signature can have several spellings: of an ECDSA
signature (r, s) anyone can make (r, n - s), which is valid, too. Version 0.1.0 named a token by its
whole text. It may run beside, or in an API, so these names are still written and looked up, each
with that of the other signature. Source: RFC 7515, 5.2; RFC 7518, 3.4; SEC 1, 4.1.
"""

from __future__ import annotations

import base64
import json

_ORDERS = {
    "ES256": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    "ES384": int("f" * 48 + "c7634d81f4372ddf581a0db248b0a77aecec196accc52973", 16),
    "ES512": int(
        "1" + "f" * 65 + "a51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409", 16
    ),
}
"""The order n of each algorithm's curve (FIPS 186-5; SP 800-186, 3.2.1)."""


def token_names(access_token: str) -> tuple[str, ...]:
    """The texts that name a token; the first is that of version 0.1.0, which knows no other.

    A token that is no JWS, such as an opaque one, has only its text.
    """
    if access_token.count(".") != 2:
        return (access_token,)
    signed, _, signature = access_token.rpartition(".")
    other = _other_signature(signed, signature)
    return (access_token, signed, *([f"{signed}.{other}"] if other else []))


def _other_signature(signed: str, signature: str) -> str | None:
    """The other valid signature of the same content; None if there is none, or it is malformed."""
    try:
        order = _ORDERS.get(json.loads(_decoded(signed.partition(".")[0]))["alg"])
        raw = _decoded(signature)
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    if order is None:
        return None
    size = (order.bit_length() + 7) // 8
    r, s = raw[:size], int.from_bytes(raw[size:], "big")
    if len(raw) != 2 * size or not 0 < s < order:
        return None
    other = r + (order - s).to_bytes(size, "big")
    return base64.urlsafe_b64encode(other).rstrip(b"=").decode()


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
