"""How are the files with our secrets and private keys read?

The newest first. Keys: a JWK, a JWK set, or a series of PEM blocks. Secrets: one in each line, as a
secret may contain any printable character (RFC 6749, appendix A.2).
"""

from __future__ import annotations

import json
import re
from typing import TypeVar

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, Key, OKPKey, RSAKey

from bff.config import CLIENT_SECRETS_MAX

_T = TypeVar("_T", str, Key)

_PRIVATE_PEM = re.compile(
    rb"-----BEGIN ([A-Z ]*PRIVATE KEY)-----.*?-----END \1-----\r?\n?", re.DOTALL
)


class CredentialsUnreadable(ValueError):
    """The content can't be used; the message says why without quoting it."""


def secrets_in(content: str) -> tuple[str, ...]:
    """The secrets, one in each line.

    Raises:
        CredentialsUnreadable: There is none, or there are too many.
    """
    return _checked_number(tuple(line for line in content.splitlines() if line.strip()), "secret")


def keys_in(content: bytes) -> tuple[Key, ...]:
    """The private keys.

    Raises:
        CredentialsUnreadable: There is none, or one of them can't be read.
    """
    try:
        keys = _jwks(content) if content.lstrip().startswith(b"{") else _pem_blocks(content)
    except (JoseError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise CredentialsUnreadable(f"can't be read ({type(error).__name__})") from None
    if any(key.key_type == "oct" or not key.is_private for key in keys):
        raise CredentialsUnreadable("holds a key that is not private")
    return _checked_number(keys, "private key")


def algorithm(key: Key) -> str:
    """The algorithm that *key* signs with: its `alg`, else the usual one for its type."""
    named = key.get("alg")
    if isinstance(named, str):
        return named
    if key.key_type == "EC":
        return {"P-384": "ES384", "P-521": "ES512"}.get(str(key.get("crv")), "ES256")
    return "RS256" if key.key_type == "RSA" else "EdDSA"


def _checked_number(found: tuple[_T, ...], kind: str) -> tuple[_T, ...]:
    if not found:
        raise CredentialsUnreadable(f"holds no {kind}")
    if len(found) > CLIENT_SECRETS_MAX:
        raise CredentialsUnreadable(
            f"holds more than {CLIENT_SECRETS_MAX}; old ones have to go once"
        )
    return found


def _jwks(content: bytes) -> tuple[Key, ...]:
    document = json.loads(content)
    listed = document.get("keys", [document])
    return tuple(JWKRegistry.import_key(one) for one in listed)


def _pem_blocks(content: bytes) -> tuple[Key, ...]:
    return tuple(_pem(block[0]) for block in _PRIVATE_PEM.finditer(content))


def _pem(block: bytes) -> Key:
    native = load_pem_private_key(block, password=None)
    if isinstance(native, RSAPrivateKey):
        return RSAKey.import_key(block)
    return (ECKey if isinstance(native, EllipticCurvePrivateKey) else OKPKey).import_key(block)
