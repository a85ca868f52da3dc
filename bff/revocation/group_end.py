"""How do all sessions of a group end at once, however many they are?

The watermark rises first. A sign-in writes itself into the index first and looks at the watermark
then, so one of the two sees the other; an id that is in the index without a record is blocked.
Source: DESIGN, section 6.
"""

from __future__ import annotations

from bff.core import audit
from bff.core.errors import SealInvalid
from bff.core.model import Group, RevokedAccessToken
from bff.revocation.cache_lease import CacheLease
from bff.revocation.steps import intent
from bff.store import DenyList, Indexes, Outbox, SessionRecords, Watermarks

BATCH = 100
"""So many sessions are ended in one round trip each for intent, tombstone and deny-list."""


class GroupEnd:
    """Ends the sessions of a user, of a provider session, of everybody.

    Args:
        lease: Told when sessions are gone, so that their end isn't answered too soon.
        lease_seconds: For so long nobody else takes up what is begun here.
        skew_seconds: How far the provider's clock may be off.
    """

    def __init__(
        self,
        *,
        records: SessionRecords,
        indexes: Indexes,
        outbox: Outbox,
        deny_list: DenyList,
        watermarks: Watermarks,
        lease: CacheLease,
        lease_seconds: float,
        skew_seconds: int,
    ) -> None:
        self._records = records
        self._indexes = indexes
        self._outbox = outbox
        self._deny_list = deny_list
        self._watermarks = watermarks
        self._lease = lease
        self._lease_seconds = lease_seconds
        self._skew_seconds = skew_seconds

    def end(self, group: Group, reason: str, before_at: float | None = None) -> int:
        """End them; returns how many there were.

        An event may be told late and more than once, so one with *before_at* spares what came after
        it: a session that began later, the allowed skew between our clock and the provider's
        counted in, and one whose `auth_time`, which is of the event's own clock, is later. What
        can't be told apart ends; that costs a sign-in.

        Raises:
            StoreUnavailable: Nothing is promised then; ask again.
        """
        watermark_at = self._watermarks.rise(group, before_at)
        keys = self._indexes.members(group)
        if before_at is not None:
            keys = self._from_before(keys, before_at)
        ended = self.end_sessions(keys, reason)
        if before_at is None:
            # Whoever waits for the answer may sign in right after it, in a second of its own.
            self._watermarks.wait_for(watermark_at)
        return ended

    def end_sessions(self, keys: list[str], reason: str) -> int:
        """End the sessions named by *keys*; returns how many there were."""
        return sum(self._end_batch(keys[i : i + BATCH], reason) for i in range(0, len(keys), BATCH))

    def _from_before(self, keys: list[str], before_at: float) -> list[str]:
        """Those of *keys* that an event of that instant ends; also those without a record."""
        began = self._records.beginnings(keys)
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
        self._outbox.add_all(entries, due_in_seconds=self._lease_seconds)
        outcomes = self._records.end_records(keys, reason)
        if any(ended.kind in ("ended", "tomb", "over") for ended in outcomes):
            self._lease.begin()
        dead: list[RevokedAccessToken] = []
        for key, ended in zip(keys, outcomes, strict=True):
            if ended.kind == "ended":
                user = self._records.user_of(key, ended.sealed_identity)
                audit.record("session_ended", "ok", reason=reason, session_key=key, user=user)
            if ended.sealed_tokens:
                dead += self._dead(key, ended.sealed_tokens)
        self._deny_list.add(dead)
        self._outbox.make_due([entry.id for entry in entries])
        return sum(ended.kind == "ended" for ended in outcomes)

    def _dead(self, key: str, sealed_tokens: bytes) -> list[RevokedAccessToken]:
        try:
            tokens = self._records.open_tokens(key, sealed_tokens)
        except SealInvalid:
            return []  # The drain meets it again, and reports it.
        return self._deny_list.all_of(tokens)
