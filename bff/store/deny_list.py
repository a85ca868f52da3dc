"""Which access tokens died before their time?

Each under a keyed hash, until the token's own end. The list says nothing about tokens it doesn't
name, and nothing in it can be turned back into a token.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from bff.core.model import RevokedAccessToken, RouteToken, Tokens
from bff.core.sealing import Sealer
from bff.core.unverified_claims import unverified_claims
from bff.store.connection import Database

LIFETIME_MAX_SECONDS = 31 * 86_400
"""More than any provider gives an access token (Auth0: 30 days)."""


class DenyList:
    """Access tokens that must be refused although they haven't expired.

    Args:
        skew_seconds: How long after its end a token is still listed, for APIs with a slow clock.
    """

    def __init__(self, database: Database, sealer: Sealer, skew_seconds: int) -> None:
        self._database = database
        self._keys = database.keys.revoked_tokens(sealer.revoked_token_names)
        self._skew_seconds = skew_seconds

    def all_of(self, tokens: Tokens) -> list[RevokedAccessToken]:
        """Every access token that must be refused when the session of *tokens* has ended."""
        own = [self.entry(tokens)] if tokens.access_token else []
        return [*tokens.replaced, *own, *(self.entry(token) for token in tokens.route_tokens)]

    def entry(self, tokens: Tokens | RouteToken) -> RevokedAccessToken:
        """How the list would name the access token in *tokens*, and until when.

        `expires_in` may be missing or smaller than the truth; APIs go by the token's own `exp`.
        """
        expires_at = max(tokens.expires_at, _own_end(tokens))
        deny_id = self._keys.deny_id(tokens.access_token)
        return RevokedAccessToken(deny_id=deny_id, expires_at=expires_at)

    def add(self, dead: Iterable[RevokedAccessToken]) -> None:
        """Refuse these tokens until they expire."""
        commands: list[tuple[str | bytes | float, ...]] = [
            ("SET", self._keys.deny_key(d.deny_id), "1", "EXAT", self._until(d)) for d in dead
        ]
        if commands:
            self._database.commands(*commands)

    def contains(self, access_token: str) -> bool:
        """Whether *access_token* was listed and hasn't expired."""
        names = self._keys.deny_keys(access_token)
        return any(self._database.commands(*(("EXISTS", name) for name in names)))

    def _until(self, dead: RevokedAccessToken) -> int:
        return math.ceil(dead.expires_at) + self._skew_seconds


def _own_end(tokens: Tokens | RouteToken) -> int:
    """The `exp` of a JWT, unverified: it came from the provider itself; 0 if there is none."""
    try:
        own_end = int(unverified_claims(tokens.access_token)["exp"])
        return min(own_end, tokens.issued_at + LIFETIME_MAX_SECONDS)
    except (KeyError, TypeError, ValueError, OverflowError):
        return 0
