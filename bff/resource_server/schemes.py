"""Under which schemes does an API take access tokens, and what does its challenge say?

`Bearer` (RFC 6750) for tokens that are bound to nothing, `DPoP` (RFC 9449) for those that are bound
to a key. The challenge names every scheme that would be taken, first the one that was tried.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, get_args

from bff.core.errors import BFFError, ProofInvalid, ScopeMissing, TokenInvalid, TokenMissing
from bff.resource_server.bearer import bearer_token
from bff.resource_server.dpop_proof import ALGORITHMS

DPoPMode = Literal["off", "allowed", "required"]
"""Whether tokens that are bound to a key are taken: no, beside others, or they alone."""

_TAKEN: dict[str, tuple[str, ...]] = {
    "off": ("Bearer",),
    "allowed": ("Bearer", "DPoP"),
    "required": ("DPoP",),
}


class Schemes:
    """The schemes of one API.

    Args:
        mode: One of `DPoPMode`.
        realm: The name of what is protected, in the challenge.

    Raises:
        ValueError: There is no such mode.
    """

    def __init__(self, mode: str, realm: str) -> None:
        if mode not in _TAKEN:
            raise ValueError(f"dpop is one of {', '.join(get_args(DPoPMode))}")
        self._taken = _TAKEN[mode]
        self._realm = realm
        self.takes_dpop = "DPoP" in self._taken

    def is_dpop(self, authorization: str | None) -> bool:
        """Whether a token is sent as DPoP, where that is taken."""
        return self.takes_dpop and (authorization or "")[:5].lower() == "dpop "

    def token(self, authorization: str | None) -> str:
        """Return the token in an `Authorization` header.

        Raises:
            TokenMissing: No header, a scheme that isn't taken, or no token in it.
            TokenInvalid: What follows the scheme isn't one token.
        """
        if self.is_dpop(authorization):
            return bearer_token(authorization, "dpop")
        if "Bearer" not in self._taken:
            raise TokenMissing
        return bearer_token(authorization)

    def challenge(self, error: BFFError, authorization: str | None) -> str | None:
        """The `WWW-Authenticate` header for *error*; None if it isn't about the token.

        Source: RFC 9110, 11.6.1; RFC 6750, 3; RFC 9449, 7.1.
        """
        if not isinstance(error, TokenMissing | TokenInvalid | ProofInvalid | ScopeMissing):
            return None
        tried = "DPoP" if self.is_dpop(authorization) else "Bearer"
        return ", ".join(
            f"{scheme} {', '.join(self._parameters(scheme, error if scheme == tried else None))}"
            for scheme in sorted(self._taken, key=lambda scheme: scheme != tried)
        )

    def _parameters(self, scheme: str, error: BFFError | None) -> Iterator[str]:
        yield f'realm="{self._realm}"'
        # Without a token there is no error code (RFC 6750, 3.1).
        if error is not None and not isinstance(error, TokenMissing):
            yield f'error="{error.code}"'
        if isinstance(error, ScopeMissing):
            yield f'scope="{error.scope}"'
        if scheme == "DPoP":
            yield f'algs="{ALGORITHMS}"'
