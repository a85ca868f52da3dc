"""Since when is a sign-in, or a token, too old to be accepted?

An end of all sessions of a group stores its instant here. Sign-ins and tokens that the provider
issued before it are rejected from then on. A watermark is the next whole second, since `iat` and
`auth_time` have no fractions, and it only ever rises, until an operator lifts it.
"""

from __future__ import annotations

import time

from bff.core.model import Group, Identity, groups_of
from bff.core.sealing import Sealer
from bff.store import scripts
from bff.store.connection import Database, Script

POLL_SECONDS = 0.05
WAIT_MAX_SECONDS = 1.0
"""A watermark is the next whole second."""
SIGN_IN_MAX_SECONDS = 86_400
"""Longer than a sign-in can be under way, with a process that stalls included."""

# KEYS: watermark. ARGV: the highest that is deleted; one that has risen meanwhile stays.
LIFT = Script(
    """
local at = tonumber(redis.call('GET', KEYS[1]) or '')
if not at or at > tonumber(ARGV[1]) then return 0 end
return redis.call('DEL', KEYS[1])
"""
)


class Watermarks:
    """The watermarks of all groups. Every method raises StoreUnavailable.

    Args:
        database: Holds them.
        sealer: Names them.
        lifetime_seconds: Longer than any session at the provider and any access token.
        session_seconds: The longest session of ours.
    """

    def __init__(
        self, database: Database, sealer: Sealer, *, lifetime_seconds: int, session_seconds: int = 0
    ) -> None:
        self._database = database
        self._keys = database.keys.revoked_tokens(sealer.revoked_token_names)
        self._lifetime_seconds = lifetime_seconds
        # Each logout at the provider leaves one over its `sid`, so they would pile up. It keeps out
        # sign-ins that were under way, no access token, and nothing of a session that is over.
        self._sid_lifetime_seconds = min(
            max(session_seconds, SIGN_IN_MAX_SECONDS), lifetime_seconds
        )

    def rise(self, group: Group, at: float | None = None) -> int:
        """Reject what is older than the next whole second from now on; returns the watermark.

        Args:
            group: The group.
            at: An instant instead of now, for an event that is reported late. One in the future
                counts as now: a wrong clock elsewhere must not prevent sign-ins.
        """
        name = self._keys_of(group)[0]
        since = "" if at is None else f"{at:.3f}"
        lifetime = self._sid_lifetime_seconds if group.kind == "sid" else self._lifetime_seconds
        reply = self._database.run_safely(scripts.WATERMARK_RISE, [name], lifetime, since)
        return int(reply)

    def wait_for(self, watermark_at: int) -> None:
        """Wait until Redis's clock has reached *watermark_at*: a second at most.

        If that clock was set back, it may be far away.
        """
        give_up_at = time.monotonic() + WAIT_MAX_SECONDS
        while (left := watermark_at - self._database.now()) > 0:
            time_left = give_up_at - time.monotonic()
            if time_left <= 0:
                break
            time.sleep(min(max(left, POLL_SECONDS), time_left))

    def lift(self, group: Group) -> bool:
        """Accept again what the group's watermark refuses; returns whether there was one.

        Every process reads watermarks from Redis, so it is accepted everywhere at once. An end
        that begins after this call is not undone: its watermark is a later second.
        """
        watermark_at = self.newest_of([group])
        if watermark_at is None:
            return False
        self.wait_for(watermark_at)
        keys = self._keys_of(group)
        lifts = [([key], [watermark_at]) for key in keys]
        return any(self._database.run_many(LIFT, lifts, safely=True))  # type: ignore[arg-type]

    def newest(self, identity: Identity) -> int | None:
        """The latest watermark over the groups of *identity*."""
        return self.newest_of([*groups_of(identity), Group.everyone()])

    def newest_for_subject(self, issuer: str, subject: str) -> int | None:
        """The latest watermark over the groups that an access token names."""
        return self.newest_of([Group.of_user(issuer, subject), Group.everyone()])

    def newest_of(self, groups: list[Group]) -> int | None:
        """The latest watermark over these groups."""
        names = [name for group in groups for name in self._keys_of(group)]
        replies = self._database.commands(*(("GET", name) for name in names))
        return max((int(reply) for reply in replies if reply is not None), default=None)

    def _keys_of(self, group: Group) -> list[str]:
        return self._keys.watermark_keys(group.kind, *group.values)
