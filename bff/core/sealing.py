"""How is a value sealed for Redis or a cookie, and how is a name hashed that is looked up there?

A value is sealed with AES-256-GCM, under a key derived from a secret with HKDF (NIST SP 800-38D;
RFC 5869). The context (for example the session's hash and the field's name) is the associated
data, so a sealed value doesn't open in another place. A name is an HMAC-SHA-256 under another
derived key. With several secrets the newest seals and each one opens, so that a rotation ends no
session.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from bff.core.errors import SealInvalid, SealKeyUnknown
from bff.core.keyed_hashes import KeyedHashes

_VERSION = b"\x01"
_KEY_ID_BYTES = 4
_NONCE_BYTES = 12
_HEADER_BYTES = len(_VERSION) + _KEY_ID_BYTES
_TAG_BYTES = 16


class Sealer:
    """Seals and opens values, and makes keyed hashes.

    Args:
        secrets: The sealing keys as configured, newest first; 32 characters or more each.
    """

    def __init__(self, secrets: Sequence[str]) -> None:
        if not secrets:
            raise ValueError("at least one secret is needed")
        self._aeads = {_key_id(secret): AESGCM(_derive(secret, "seal")) for secret in secrets}
        self._newest = _key_id(secrets[0])
        self._names = KeyedHashes([_derive(secret, "hash") for secret in secrets])
        # A separate key: APIs get it, and must not be able to make any other name.
        self.revoked_token_names = KeyedHashes(
            [_derive(secret, "dead tokens") for secret in secrets]
        )
        """Names for the deny-list and the watermarks. `python -m bff deny-list-key` prints the key
        for the APIs; no other name and no seal can be made with it."""
        self.device_hashes = KeyedHashes([_derive(secret, "device binding") for secret in secrets])
        """For what binds sessions to devices (`bff/core/device_binding.py`)."""

    def seal(self, plaintext: bytes, context: str) -> bytes:
        """Encrypt *plaintext*; it opens only with the same *context*."""
        # A random 96-bit nonce is safe for 2^32 values per key (SP 800-38D, 8.3).
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._aeads[self._newest].encrypt(nonce, plaintext, context.encode())
        return _VERSION + self._newest + nonce + sealed

    def open(self, sealed: bytes, context: str) -> bytes:
        """Decrypt a value that `seal` made.

        Raises:
            SealKeyUnknown: Sealed with a key that isn't configured here.
            SealInvalid: Forged, damaged or from another context.
        """
        if len(sealed) < _HEADER_BYTES + _NONCE_BYTES + _TAG_BYTES or sealed[:1] != _VERSION:
            raise SealInvalid("not a sealed value")
        aead = self._aeads.get(sealed[1:_HEADER_BYTES])
        if aead is None:
            raise SealKeyUnknown("sealed with a key that is not configured")
        nonce = sealed[_HEADER_BYTES : _HEADER_BYTES + _NONCE_BYTES]
        try:
            return aead.decrypt(nonce, sealed[_HEADER_BYTES + _NONCE_BYTES :], context.encode())
        except InvalidTag as error:
            raise SealInvalid("forged, damaged or of another context") from error

    def seal_text(self, plaintext: bytes, context: str) -> str:
        """`seal`, in unpadded base64url, for cookies, URLs and forms."""
        return base64.urlsafe_b64encode(self.seal(plaintext, context)).rstrip(b"=").decode()

    def open_text(self, sealed: str, context: str) -> bytes:
        """Decrypt a text that `seal_text` made; raises SealInvalid for any other text."""
        try:
            raw = base64.b64decode(sealed + "=" * (-len(sealed) % 4), altchars=b"-_", validate=True)
        except ValueError as error:
            raise SealInvalid("not base64url") from error
        if base64.urlsafe_b64encode(raw).rstrip(b"=") != sealed.encode():
            # The last character has unused bits: without this, a value had several spellings.
            raise SealInvalid("not as it was sealed")
        return self.open(raw, context)

    def keyed_hash(self, purpose: str, *values: str) -> str:
        """The name of *values* under the newest key, for writing: 256 bits in hex."""
        return self._names.name(purpose, *values)

    def keyed_hashes(self, purpose: str, *values: str) -> list[str]:
        """The name of *values* under each key, the newest first, for looking it up."""
        return self._names.names(purpose, *values)


def _derive(secret: str, purpose: str) -> bytes:
    info = f"bff {purpose} v1".encode()
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(secret.encode())


def _key_id(secret: str) -> bytes:
    return _derive(secret, "key id")[:_KEY_ID_BYTES]
