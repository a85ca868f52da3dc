"""Which type may the access token have that a request to the token endpoint gets?"""

from __future__ import annotations

import msgspec


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """Which types of token may be in a response."""

    any_type: bool = False
    """Also one that is no access token; the caller checks it."""
    jkt: str = ""
    """The thumbprint of the key that the request proved; empty if it proved none, so that no token
    can be bound to it."""
    only_bound: bool = False
    """Not a bearer token, though a proof was sent: that would be a silent downgrade."""

    def problem(self, token_type: str) -> str | None:
        """Why a token of this type can't be used; None if it can (RFC 9449, section 5)."""
        match token_type.lower():
            case "bearer" if self.only_bound:
                return "the token answer's token_type is Bearer, and BFF_DPOP demands DPoP"
            case "bearer":
                return None
            case "dpop" if self.jkt:
                return None
        return None if self.any_type else "the token answer's token_type is not Bearer"


BEARER = Expected()
"""What a request without a proof may get."""
