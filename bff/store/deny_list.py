"""Which access tokens are revoked before they expire?

Each is stored under keyed hashes until it expires; no token can be recovered from it. A token that
isn't on the list may still be invalid for another reason.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable

from bff.core.model import RevokedAccessToken, RouteToken, Tokens
from bff.core.sealing import Sealer
from bff.core.unverified_claims import unverified_claims
from bff.store.connection import Database
from bff.store.redis_cluster import Command

# Auth0: an access token lives 30 days at most.
LIFETIME_MAX_SECONDS = 31 * 86_400
"""Upper bound for the lifetime of an access token."""


class DenyList:
    """Access tokens that must be rejected although they haven't expired.

    Args:
        skew_seconds: How long a token stays listed after it expires, for APIs with a slow clock.
    """

    def __init__(self, database: Database, sealer: Sealer, skew_seconds: int) -> None:
        self._database = database
        self._keys = database.keys.revoked_tokens(sealer.revoked_token_names)
        self._skew_seconds = skew_seconds

    def all_of(self, tokens: Tokens) -> list[RevokedAccessToken]:
        """Every access token to revoke when the session of *tokens* ends."""
        own = [self.entry(tokens)] if tokens.access_token else []
        return [*tokens.replaced, *own, *(self.entry(token) for token in tokens.route_tokens)]

    def entry(self, tokens: Tokens | RouteToken) -> RevokedAccessToken:
        """The entry for the access token in *tokens*, and its end.

        APIs read the token's `exp`, so it counts if it is later: `expires_in` may be missing or too
        small.
        """
        expires_at = max(tokens.expires_at, _jwt_expires_at(tokens))
        deny_id, *more_ids = self._keys.deny_ids(tokens.access_token)
        return RevokedAccessToken(
            deny_id=deny_id, expires_at=expires_at, more_deny_ids=tuple(more_ids)
        )

    def add(self, revoked: Iterable[RevokedAccessToken]) -> None:
        """Revoke these tokens until they expire."""
        commands: list[Command] = [
            ("SET", self._keys.deny_key(deny_id), "1", "EX", self._seconds(r))
            for r in revoked
            for deny_id in (r.deny_id, *r.more_deny_ids)
        ]
        if commands:
            self._database.commands_safely(*commands)

    def contains(self, access_token: str) -> bool:
        """Whether *access_token* is on the list."""
        names = self._keys.deny_keys(access_token)
        return any(self._database.commands(*(("EXISTS", name) for name in names)))

    def _seconds(self, revoked: RevokedAccessToken) -> int:
        # By our own clock, as the token's end is: if Redis's is ahead, it would be dropped early.
        return max(1, math.ceil(revoked.expires_at - time.time()) + self._skew_seconds)


def _jwt_expires_at(tokens: Tokens | RouteToken) -> int:
    """The `exp` of a JWT, unverified: it comes from the token endpoint; 0 if there is none."""
    try:
        own_end = math.ceil(float(unverified_claims(tokens.access_token)["exp"]))
        return min(own_end, tokens.issued_at + LIFETIME_MAX_SECONDS)
    except (KeyError, TypeError, ValueError, OverflowError):
        return 0
