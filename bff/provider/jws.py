"""Is this token signed with a key that its issuer lists, by an algorithm that we allow?

Used for ID tokens, logout tokens and security event tokens. The allowed algorithms come from the
settings, never `none` and never HMAC. Keys in the token itself (`jwk`, `jku`, `x5c`) are ignored
(RFC 8725, 3.1 and 3.5). What a claim holds is read here, too: `present`, `number`,
`text`, `text_of`.
"""

from __future__ import annotations

from typing import Any

from joserfc import jws
from joserfc.errors import JoseError, MissingKeyError

from bff.core.errors import TokenRefused
from bff.core.signing_keys import FindKeys, verified_jwt

HEADER_MAX_BYTES = 16 * 1024
"""Some providers put a certificate chain into the header."""

TEXT_MAX_CHARACTERS = 255
NUMBER_MAX = 2**53
"""The largest number that every JSON parser reads exactly (RFC 8259, 6)."""


def verified(
    token: str, algorithms: tuple[str, ...], find_keys: FindKeys
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of *token*, once its signature is verified.

    Raises:
        TokenRefused: No JWT, another algorithm, an unknown key or a wrong signature.
        ProviderError: The keys can't be loaded, so the signature can't be checked.

    Source: RFC 7515, 5.2; RFC 8725, 3.1.
    """

    # An unknown header parameter is harmless; the library rejects one that is named in `crit`.
    registry = jws.JWSRegistry(algorithms=algorithms, strict_check_header=False)
    registry.max_header_length = HEADER_MAX_BYTES
    try:
        found = verified_jwt(token, registry, find_keys)
    except MissingKeyError as error:
        problem = "signed with a key that the provider does not list"
        raise TokenRefused("invalid_key", problem) from error
    except (JoseError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise TokenRefused("invalid_request", f"not acceptable: {type(error).__name__}") from error
    return dict(found.header), found.claims


def present(claims: dict[str, Any]) -> dict[str, Any]:
    """*claims* without those that are null, which some providers write for what is missing."""
    return {name: value for name, value in claims.items() if value is not None}


def number(value: object) -> int | None:
    """*value* as a whole number; None if it is none (or a boolean), or too large for Redis."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if abs(value) <= NUMBER_MAX else None


def text(value: object) -> str | None:
    """*value*, or None if it is no string or an empty one."""
    return value if isinstance(value, str) and value else None


def text_of(claims: dict[str, Any], name: str) -> str:
    """The claim *name*; raises TokenRefused unless it is a string of 1 to 255 characters."""
    value = claims.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= TEXT_MAX_CHARACTERS:
        raise TokenRefused("invalid_request", f"{name} is missing, too long or no text")
    if not is_unicode(value):
        raise TokenRefused("invalid_request", f"{name} is no Unicode text")
    return value


def is_unicode(value: str) -> bool:
    """False for half a surrogate pair, which JSON can express and UTF-8 can't."""
    return not any("\ud800" <= character <= "\udfff" for character in value)
