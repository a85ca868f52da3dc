"""Was the code of this sign-in sent to the provider already?

Whoever holds the cookie of a sign-in could have one code after the other sent, and so spend the
provider's rate limit for everybody. So a sign-in is spent once, at all replicas. It is given back
when the provider couldn't answer: the same address then works later.
"""

from __future__ import annotations

import hashlib
import secrets

from bff.core.errors import SignInSpent
from bff.store.connection import Database, Script

LIFETIME_SECONDS = 3_900
"""Longer than the cookie of a sign-in is valid."""
UNDER_WAY_SECONDS = 5
"""How long another request waits for the one that has sent the code."""
TRIES_MAX = 10
"""How often a code may be sent while the provider doesn't answer."""

_TAKE = Script(
    """
    local taken = redis.call('HGET', KEYS[1], 'taken')
    if taken == ARGV[1] then return 1 end  -- sent a second time
    if taken then return 0 end
    if tonumber(redis.call('HGET', KEYS[1], 'tries') or '0') >= tonumber(ARGV[2]) then return 0 end
    redis.call('HSET', KEYS[1], 'taken', ARGV[1])
    redis.call('HINCRBY', KEYS[1], 'tries', 1)
    redis.call('EXPIRE', KEYS[1], ARGV[3])
    return 1
    """
)
_FAIL = Script(
    "if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('HSET', KEYS[1], 'failed', 1) end"
)
_IS_UNDER_WAY = Script(
    """
    local found = redis.call('HMGET', KEYS[1], 'taken', 'failed')
    return found[1] and not found[2] and redis.call('TTL', KEYS[1]) >= tonumber(ARGV[1])
    """
)


class SignInAttempts:
    """The sign-ins whose codes were sent, by their `state`. Every method raises StoreUnavailable.

    Args:
        database: Where they are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, state: str) -> None:
        """Spend a sign-in.

        Raises:
            SignInSpent: It is spent, or under way.
        """
        attempt = secrets.token_hex(8)
        if not self._database.run(_TAKE, [self._key(state)], attempt, TRIES_MAX, LIFETIME_SECONDS):
            raise SignInSpent("the code of this sign-in was sent already")

    def give_back(self, state: str) -> None:
        """The provider couldn't answer, so the sign-in that was taken may be tried again."""
        self._database.command("HDEL", self._key(state), "taken")

    def fail(self, state: str) -> None:
        """If a sign-in was taken, it has failed for good, so that nobody waits for it."""
        self._database.run(_FAIL, [self._key(state)])

    def is_under_way(self, state: str) -> bool:
        """Whether it was taken a moment ago, and may still succeed."""
        youngest = LIFETIME_SECONDS - UNDER_WAY_SECONDS
        return bool(self._database.run(_IS_UNDER_WAY, [self._key(state)], youngest))

    def _key(self, state: str) -> str:
        # A state is random, so its hash says nothing.
        return self._database.keys.sign_in(hashlib.sha256(state.encode()).hexdigest())
