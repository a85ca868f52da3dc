"""How do all sessions of a group end at once, however many they are?

First the watermark rises, then the index is read. A sign-in writes its index entry first and then
reads the watermark, so one of the two sees the other. A sign-in that is in the index and has no
record yet is blocked.
"""

from __future__ import annotations

import logging

from bff.core import audit
from bff.core.errors import SealInvalid
from bff.core.model import Group, RevokedAccessToken
from bff.revocation.cache_lease import CacheLease
from bff.revocation.steps import intent
from bff.store import Stores

BATCH = 100
"""How many sessions are ended in one round trip each for intent, tombstone and deny-list."""


log = logging.getLogger(__name__)


class GroupEnd:
    """Ends the sessions of a user, of a provider session, or of all users.

    Args:
        stores: Where sessions, outbox, deny-list and watermarks are.
        lease: Delays the response to an end while processes may still use a cached session.
        claim_seconds: How long no other process works on what is begun here.
        skew_seconds: How far the provider's clock may be off.
        needs_auth_time: Users can sign in after an end only if the provider sends `auth_time`.
    """

    def __init__(
        self,
        stores: Stores,
        lease: CacheLease,
        claim_seconds: float,
        *,
        skew_seconds: int,
        needs_auth_time: bool = True,
    ) -> None:
        self._needs_auth_time = needs_auth_time
        self._stores = stores
        self._lease = lease
        self._claim_seconds = claim_seconds
        self._skew_seconds = skew_seconds

    def end(self, group: Group, reason: str, before_at: float | None = None) -> int:
        """End them; returns how many there were.

        An event may be reported late and more than once, so one with *before_at* spares what came
        after it: a session that began later (the allowed clock skew included), and one whose
        `auth_time`, by the same clock as the event, is later. If that can't be decided, the session
        ends, at the cost of a new sign-in.

        Raises:
            StoreUnavailable: Some sessions may not have ended; try again.
        """
        watermark_at, keys = self.begin(group, before_at)
        ended = self.end_sessions(keys, reason)
        if before_at is None:
            # So that a sign-in right after the response falls into a later second.
            self._stores.watermarks.wait_for(watermark_at)
        return ended

    def begin(self, group: Group, before_at: float | None = None) -> tuple[int, list[str]]:
        """Raise the watermark; returns it, and the keys of the sessions to end."""
        self._warn_of_lockout(group)
        watermark_at = self._stores.watermarks.rise(group, before_at)
        keys = self._stores.indexes.members(group)
        if before_at is not None:
            keys = self.from_before(keys, before_at)
        return watermark_at, keys

    def _warn_of_lockout(self, group: Group) -> None:
        # A session at the provider that has ended is no way to sign in again in any case.
        if group.kind == "sid" or not self._needs_auth_time:
            return
        if not self._stores.auth_time_seen.ever():
            log.warning(
                "sessions of %s end, and no sign-in of this provider has carried auth_time so far: "
                "if it never sends it, not even for max_age, they can't sign in again until "
                "`python -m bff sessions allow` (docs/logout.md, Providers without auth_time)",
                "everyone" if group.kind == "everyone" else "a user",
            )

    def end_sessions(self, keys: list[str], reason: str) -> int:
        """End the sessions named by *keys*; returns how many there were."""
        return sum(self._end_batch(keys[i : i + BATCH], reason) for i in range(0, len(keys), BATCH))

    def from_before(self, keys: list[str], before_at: float) -> list[str]:
        """Those of *keys* that an event at *before_at* ends; also those without a record.

        Raises:
            StoreUnavailable: Redis is down.
        """
        began = self._stores.records.beginnings(keys)
        return [
            key
            for key, begin in zip(keys, began, strict=True)
            if begin is None or self._is_before(begin, before_at)
        ]

    def _is_before(self, began: tuple[int, int | None], before_at: float) -> bool:
        created_at, auth_time = began
        if created_at > before_at + self._skew_seconds:
            return False
        return auth_time is None or auth_time <= before_at

    def _end_batch(self, keys: list[str], reason: str) -> int:
        entries = [intent(key, reason) for key in keys]
        self._stores.outbox.add_all(entries, due_in_seconds=self._claim_seconds)
        outcomes = self._stores.records.end_records(keys, reason)
        if any(ended.kind in ("ended", "tomb", "over") for ended in outcomes):
            self._lease.begin()
        revoked: list[RevokedAccessToken] = []
        for key, ended in zip(keys, outcomes, strict=True):
            if ended.kind == "ended":
                user = self._stores.records.user_of(key, ended.sealed_identity)
                audit.record("session_ended", "ok", reason=reason, session_key=key, user=user)
            if ended.sealed_tokens:
                revoked += self._revoked(key, ended.sealed_tokens)
        self._stores.deny_list.add(revoked)
        self._stores.outbox.make_due([entry.id for entry in entries])
        return sum(ended.kind == "ended" for ended in outcomes)

    def _revoked(self, key: str, sealed_tokens: bytes) -> list[RevokedAccessToken]:
        try:
            tokens = self._stores.records.open_tokens(key, sealed_tokens)
        except SealInvalid:
            return []  # The drain tries it again and reports it.
        return self._stores.deny_list.all_of(tokens)
