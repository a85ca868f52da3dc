"""How is an access token sent to a protected resource, and how is it rejected there?

Source: RFC 6750, sections 2.1 (the header; never a form field or a query) and 3 (the challenge).
"""

from __future__ import annotations

import re

from bff.core.errors import BFFError, ScopeMissing, TokenInvalid, TokenMissing

TOKEN_MAX_CHARACTERS = 16 * 1024
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")


def bearer_token(authorization: str | None, scheme: str = "bearer") -> str:
    """Return the token in an `Authorization` header.

    Args:
        authorization: The header.
        scheme: In lower case; that of RFC 9449 has tokens of the same form.

    Raises:
        TokenMissing: No header, another scheme, or no token in it.
        TokenInvalid: What follows the scheme isn't one token.
    """
    given, _, token = (authorization or "").partition(" ")
    token = token.strip(" ")
    if given.lower() != scheme or not token:
        raise TokenMissing
    if len(token) > TOKEN_MAX_CHARACTERS or not _TOKEN.fullmatch(token):
        raise TokenInvalid("not of a token's form")
    return token


def challenge(error: BFFError, realm: str) -> str | None:
    """The `WWW-Authenticate` header for *error*; None if it isn't about the token."""
    if isinstance(error, TokenMissing):
        # Without a token there is no error code (RFC 6750, 3.1).
        return f'Bearer realm="{realm}"'
    if isinstance(error, ScopeMissing):
        return f'Bearer realm="{realm}", error="{error.code}", scope="{error.scope}"'
    if isinstance(error, TokenInvalid):
        return f'Bearer realm="{realm}", error="{error.code}"'
    return None
