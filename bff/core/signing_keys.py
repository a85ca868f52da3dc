"""Which of an issuer's public keys made a signature?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from joserfc import jws, jwt
from joserfc.errors import BadSignatureError, JoseError, MissingKeyError
from joserfc.jwk import JWKRegistry, Key

FindKeys = Callable[[str, str | None], Iterator[Key]]
"""The keys for an algorithm and a key id. A caller that takes none of the known ones gets those of
a JWKS that is fetched anew; raises ProviderError if that can't be done."""

KEY_TYPES = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}
"""By the first two letters of the algorithm; symmetric keys are none of them."""


def imported_key(entry: Any) -> Key | None:
    """The public key in an entry of a JWKS; None if it isn't one for signatures, or unreadable.

    One unreadable key must not make the others useless (RFC 7517, 5). A member that is null or
    an empty text counts as missing, and certificates are not looked at.
    """
    if not isinstance(entry, dict) or entry.get("kty") not in KEY_TYPES.values():
        return None
    entry = {n: one for n, one in entry.items() if one not in (None, "") and not n.startswith("x5")}
    if entry.get("use", "sig") != "sig":
        return None
    try:
        return JWKRegistry.import_key(entry)
    except (JoseError, ValueError, TypeError, KeyError):
        return None


def matching_keys(keys: Iterable[Key], alg: str, kid: str | None) -> list[Key]:
    """Those of *keys* that a token's header names; a `kid` should be unique, but needn't be.

    Without a `kid`, only one key may fit (OpenID Connect Core, 10.1).
    """
    fitting = [key for key in keys if _fits(key, alg)]
    if kid is None:
        return fitting if len(fitting) == 1 else []
    return [key for key in fitting if key.get("kid") == kid]


def verified_jwt(token: str, registry: jws.JWSRegistry, find_keys: FindKeys) -> jwt.Token:
    """*token*, once one of the keys that its header names is found to have signed it.

    An issuer may put a new key in the place of an old one without a new `kid`, or without any. So a
    key that fits by name but not by signature counts like one that isn't listed.

    Args:
        token: A JWT as JWS, compact.
        registry: Has the allowed algorithms and limits.
        find_keys: Finds the issuer's keys.

    Raises:
        MissingKeyError: No key is listed for it.
        JoseError, ValueError, TypeError, KeyError: It isn't acceptable; BadSignatureError if keys
            are listed, but none of them signed it.
        ProviderError: The keys can't be loaded.

    Source: RFC 7515, 5.2; RFC 8725, 3.1; OpenID Connect Core, 10.1.1.
    """
    header = jws.extract_compact(token.encode(), registry=registry).headers()
    alg, kid = header["alg"], header.get("kid")
    registry.get_alg(alg)  # Raises for one that isn't allowed.
    problem: JoseError = MissingKeyError("no listed key")
    for key in find_keys(alg, kid) if kid is None or isinstance(kid, str) else ():
        try:
            return jwt.decode(token, key, registry.allowed, registry)
        except BadSignatureError as error:
            problem = error
    raise problem


def _fits(key: Key, alg: str) -> bool:
    return key.key_type == KEY_TYPES.get(alg[:2]) and key.get("alg", alg) == alg
