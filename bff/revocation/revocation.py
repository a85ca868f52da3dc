"""What outlives a session, and how does it come to its end?

`end` is the one way in which a session ends, whatever the reason: the intent goes into the outbox,
the record becomes a tombstone, its access tokens go on the deny-list, its refresh tokens are
revoked at the provider, and only then tombstone and intent go. `drain` completes what a crash or an
outage left behind; any replica may do it. `completion` holds the steps of one end, `groups` those
of many at once. Source: DESIGN, section 6; RFC 7009.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from bff.core.errors import ProviderUnavailable
from bff.core.model import Group, Tokens
from bff.revocation.cache_lease import CacheLease
from bff.revocation.group_end import GroupEnd
from bff.revocation.steps import EndSteps, Revoker, intent
from bff.store import DenyList, Entry, Indexes, Outbox, SessionRecords, Watermarks

CLAIM_COUNT = 20


class Revocation:
    """Ends sessions, and gets every refresh token revoked.

    Args:
        answer_seconds: How long an end may keep its caller waiting for the provider.
        lease: How long processes may remember a session that is gone; None if none does.
        skew_seconds: How far the provider's clock may be off.
        token_lifetime_seconds: How long a revocation is worth trying.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        *,
        records: SessionRecords,
        indexes: Indexes,
        outbox: Outbox,
        deny_list: DenyList,
        watermarks: Watermarks,
        provider: Revoker,
        answer_seconds: float,
        lease: CacheLease | None = None,
        skew_seconds: int = 10,
        token_lifetime_seconds: float = 30 * 86_400,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.on_due: Callable[[], object] = lambda: None
        """Called when more is due at once than this caller does; the wiring wakes the drain."""
        self._outbox = outbox
        self._clock = clock
        self._lease = lease or CacheLease()
        # The caller works on its own entry until then; afterwards anybody may.
        self._lease_seconds = 3 * answer_seconds + 5
        self.completion = EndSteps(
            records=records,
            indexes=indexes,
            outbox=outbox,
            deny_list=deny_list,
            provider=provider,
            lease=self._lease,
            answer_seconds=answer_seconds,
            token_lifetime_seconds=token_lifetime_seconds,
            clock=lambda: self._clock(),
        )
        self._groups = GroupEnd(
            records=records,
            indexes=indexes,
            outbox=outbox,
            deny_list=deny_list,
            watermarks=watermarks,
            lease=self._lease,
            lease_seconds=self._lease_seconds,
            skew_seconds=skew_seconds,
        )

    def together(self) -> AbstractContextManager[None]:
        """Let several ends that share one answer wait together; see `CacheLease.together`."""
        return self._lease.together()

    def end(
        self,
        session_key: str,
        reason: str,
        *,
        generation: int | None = None,
        is_answered: bool = True,
    ) -> bool:
        """End a session and revoke what it holds.

        Args:
            session_key: The session's hash.
            reason: Why, as a short word for the audit log.
            generation: End it only if its tokens are still of this generation.
            is_answered: Somebody is told of it; so not before every process knows.

        Returns:
            Whether there was such a session (or its tombstone).

        Raises:
            StoreUnavailable: Nothing is promised then; the caller must say so.
        """
        entry = intent(session_key, reason, generation)
        self._outbox.add(entry, due_in_seconds=self._lease_seconds)
        ended = self._try(entry)
        if is_answered:
            self._lease.wait()
        return ended

    def end_into(self, session_key: str, new_session_key: str) -> bool:
        """End a session whose user signed in again; the new session takes its refresh tokens over.

        At many providers both hang on one grant, so revoking the old token would kill the new.
        """
        entry = Entry(
            id=f"end-{session_key}-into",
            kind="session",
            reason="signed_in_again",
            session_key=session_key,
            into=new_session_key,
        )
        self._outbox.add(entry, due_in_seconds=self._lease_seconds)
        ended = self._try(entry)
        self._lease.wait()
        return ended

    def end_group(self, group: Group, reason: str, *, before_at: float | None = None) -> int:
        """End all sessions of a user, of a provider session, or of everybody.

        The sessions are over when this returns; their refresh tokens are revoked by the drain,
        since a thousand revocations take longer than a caller waits.

        Args:
            group: Whose sessions.
            reason: Why, as a short word for the audit log.
            before_at: For an event that is told late: when it happened, by the provider's clock.
                Only sessions from before then are ended; see `GroupEnd.end`.

        Returns:
            How many sessions there were.

        Raises:
            StoreUnavailable: Nothing is promised then; ask again.
        """
        ended = self._groups.end(group, reason, before_at)
        self.on_due()
        self._lease.wait()
        return ended

    def end_these(self, session_keys: list[str], reason: str) -> int:
        """End these sessions and no others, without a watermark; returns how many there were.

        Raises:
            StoreUnavailable: Nothing is promised then; ask again.
        """
        ended = self._groups.end_sessions(session_keys, reason)
        self.on_due()
        self._lease.wait()
        return ended

    def abandon(self, tokens: Tokens, reason: str) -> None:
        """Revoke tokens that found no session to live in.

        Raises:
            StoreUnavailable: They are not in the outbox; the caller must keep them and ask again.
        """
        entry_id = f"tokens-{secrets.token_hex(16)}"
        entry = Entry(
            id=entry_id,
            kind="tokens",
            reason=reason,
            sealed_tokens=self._outbox.seal_tokens(entry_id, tokens),
        )
        self._outbox.add(entry, due_in_seconds=self._lease_seconds)
        self._try(entry)

    def drain(self) -> int:
        """Try what is due, until the provider fails; returns how many entries were confirmed.

        Raises:
            StoreUnavailable: Redis is away; nothing is lost by it.
        """
        confirmed = 0
        due = self._outbox.claim_due(self._lease_seconds, CLAIM_COUNT)
        for position, entry in enumerate(due):
            try:
                self.completion.complete(entry)
                confirmed += self._outbox.read(entry.id) is None
            except ProviderUnavailable as error:
                # An outage is felt once; the others of this round wait as long as this one.
                for waiting in due[position + 1 :]:
                    self._outbox.put_off(waiting, self.completion.backoff(entry, error))
                return confirmed
        if len(due) == CLAIM_COUNT:
            self.on_due()  # There may be more; other work gets its turn between two rounds.
        return confirmed

    def retry_all(self) -> int:
        """Try everything that waits, due or not, until the provider fails; how many are done.

        Raises:
            StoreUnavailable: Redis is away; nothing is lost by it.
        """
        done = 0
        for entry in self._outbox.waiting():
            try:
                self.completion.complete(entry)
            except ProviderUnavailable:
                break
            done += self._outbox.read(entry.id) is None
        return done

    def _try(self, entry: Entry) -> bool:
        """Complete for a caller whose answer must not depend on the provider."""
        try:
            return self.completion.complete(entry)
        except ProviderUnavailable:
            return True
