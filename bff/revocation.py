"""What outlives a session, and how does it come to its end?

`end` is the one way in which a session ends, whatever the reason: the intent goes into the outbox,
the record becomes a tombstone, its access tokens go on the deny-list, its refresh tokens are
revoked at the provider, and only then tombstone and intent go. `drain` completes what a crash or an
outage left behind; any replica may do it. Source: DESIGN, section 6; RFC 7009.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable
from typing import Protocol

from bff import audit
from bff.errors import (
    ProviderError,
    ProviderRejected,
    ProviderUnavailable,
    SealInvalid,
    StoreUnavailable,
)
from bff.model import DeadAccessToken, Group, Identity, Tokens
from bff.store import DenyList, Entry, Indexes, Outbox, Records, Watermarks

log = logging.getLogger(__name__)

BACKOFF_SECONDS = (1, 2, 4, 8)
"""Waits between tries; the last repeats. A drain stops at the first outage, so this is gentle."""
PERMANENT_RETRY_SECONDS = 3600
CLAIM_COUNT = 20
BATCH = 100
"""So many sessions are ended in one round trip each for intent, tombstone and deny-list."""


class Revoker(Protocol):
    """What is needed of the provider."""

    def revoke(self, refresh_token: str) -> None:
        """Revoke at the provider (RFC 7009); raises ProviderError."""


class Revocation:
    """Ends sessions, and gets every refresh token revoked.

    Args:
        answer_seconds: How long an end may keep its caller waiting for the provider.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        *,
        records: Records,
        indexes: Indexes,
        outbox: Outbox,
        deny_list: DenyList,
        watermarks: Watermarks,
        provider: Revoker,
        answer_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._records = records
        self._indexes = indexes
        self._outbox = outbox
        self._deny_list = deny_list
        self._watermarks = watermarks
        self._provider = provider
        self._answer_seconds = answer_seconds
        self._clock = clock
        # The caller works on its own entry until then; afterwards anybody may.
        self._lease_seconds = 3 * answer_seconds + 5

    # ------------------------------------------------------------ ways in
    def end(self, session_key: str, reason: str, *, generation: int | None = None) -> bool:
        """End a session and revoke what it holds.

        Args:
            session_key: The session's hash.
            reason: Why, as a short word for the audit log.
            generation: End it only if its tokens are still of this generation.

        Returns:
            Whether there was such a session (or its tombstone).

        Raises:
            StoreUnavailable: Nothing is promised then; the caller must say so.
        """
        entry = _entry(session_key, reason, generation)
        self._outbox.add(entry, due_in_seconds=self._lease_seconds)
        return self._try(entry)

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
        return self._try(entry)

    def end_group(self, group: Group, reason: str) -> int:
        """End all sessions of a user, of a provider session, or of everybody.

        The watermark rises first. A sign-in writes itself into the index first and looks at the
        watermark then, so one of the two sees the other; an id that is in the index without a
        record is barred. The sessions are over when this returns; their refresh tokens are revoked
        by the drain, since a thousand revocations take longer than a caller waits.

        Returns:
            How many sessions there were.

        Raises:
            StoreUnavailable: Nothing is promised then; ask again.
        """
        watermark_at = self._watermarks.rise(group)
        keys = self._indexes.members(group)
        ended = sum(
            self._end_batch(keys[i : i + BATCH], reason) for i in range(0, len(keys), BATCH)
        )
        self._watermarks.wait_for(watermark_at)
        return ended

    def _end_batch(self, keys: list[str], reason: str) -> int:
        entries = [_entry(key, reason) for key in keys]
        self._outbox.add_all(entries, due_in_seconds=self._lease_seconds)
        outcomes = self._records.entomb_all(keys, reason)
        dead: list[DeadAccessToken] = []
        for key, ended in zip(keys, outcomes, strict=True):
            if ended.kind == "ended":
                audit.record("session_ended", "ok", reason=reason, session_key=key)
            if ended.sealed_tokens:
                dead += self._dead(key, ended.sealed_tokens)
        self._deny_list.add(dead)
        self._outbox.make_due([entry.id for entry in entries])
        return sum(ended.kind == "ended" for ended in outcomes)

    def _dead(self, key: str, sealed_tokens: bytes) -> list[DeadAccessToken]:
        try:
            tokens = self._records.open_tokens(key, sealed_tokens)
        except SealInvalid:
            return []  # The drain meets it again, and reports it.
        return [*tokens.replaced, self._deny_list.dead(tokens)]

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
                self._complete(entry)
                confirmed += self._outbox.read(entry.id) is None
            except ProviderUnavailable as error:
                # An outage is felt once; the others of this round wait as long as this one.
                for waiting in due[position + 1 :]:
                    self._outbox.put_off(waiting, self._backoff(entry, error))
                break
        return confirmed

    # ------------------------------------------------------------ the steps
    def _try(self, entry: Entry) -> bool:
        """`_complete` for a caller whose answer must not depend on the provider."""
        try:
            return self._complete(entry)
        except ProviderUnavailable:
            return True

    def _complete(self, entry: Entry) -> bool:
        """Steps 2 to 5 for one entry; each can be repeated by whoever finds it half done.

        Returns:
            Whether there was anything to end.

        Raises:
            ProviderUnavailable: It is over, but not confirmed; the entry waits for its next turn.
            StoreUnavailable: Before the session was over.
        """
        try:
            if entry.kind == "tokens":
                self._settle(entry, self._outbox.open_tokens(entry))
                return True
            return self._complete_session(entry)
        except SealInvalid as error:
            # Kept, because the right key may come back; reported, because nobody can revoke it now.
            audit.record(
                "seal_invalid", "failed", reason=error.detail, session_key=entry.session_key
            )
            self._outbox.reschedule(entry, PERMANENT_RETRY_SECONDS, SealInvalid.code)
            return True

    def _complete_session(self, entry: Entry) -> bool:
        key = entry.session_key
        ended = self._records.entomb(key, entry.reason, entry.generation)
        if ended.kind in ("gone", "other"):
            self._outbox.done(entry.id)
            return False
        if ended.kind == "ended":
            audit.record("session_ended", "ok", reason=entry.reason, session_key=key)
        tokens = self._records.open_tokens(key, ended.sealed_tokens)
        identity = self._records.open_identity(key, ended.sealed_identity)
        if entry.into and self._hand_over(tokens, entry.into):
            self._deny(tokens)
            self._confirm(entry, identity)
        else:
            self._settle(entry, tokens, identity)
        return True

    def _settle(self, entry: Entry, tokens: Tokens, identity: Identity | None = None) -> None:
        self._deny(tokens)
        # From here on the session is over. What is still to do stands in the outbox, so neither
        # the provider nor Redis can make a logout fail any more.
        try:
            self._revoke_all(tokens, entry)
            self._confirm(entry, identity)
        except ProviderError as error:
            self._postpone(entry, error)
            if isinstance(error, ProviderUnavailable):
                raise
        except StoreUnavailable as error:
            log.warning("revocation not recorded, it will be repeated: %s", error.detail)

    def _revoke_all(self, tokens: Tokens, entry: Entry) -> None:
        give_up_at = self._clock() + self._answer_seconds
        for refresh_token in tokens.all_refresh_tokens():
            if self._clock() >= give_up_at:
                raise ProviderUnavailable("no time left before the answer")
            self._provider.revoke(refresh_token)
            audit.record("token_revoked", "ok", reason=entry.reason, session_key=entry.session_key)

    def _postpone(self, entry: Entry, error: ProviderError) -> None:
        permanent = isinstance(error, ProviderRejected)
        code = error.error if isinstance(error, ProviderRejected) else error.code
        wait = PERMANENT_RETRY_SECONDS if permanent else self._backoff(entry, error)
        audit.record(
            "revocation_queued",
            "failed",
            reason=f"{code}: {error.detail}",
            session_key=entry.session_key,
        )
        try:
            self._outbox.reschedule(entry, wait, code)
        except StoreUnavailable:
            log.warning("revocation not rescheduled; it is due again when its lease ends")

    def _backoff(self, entry: Entry, error: ProviderError) -> float:
        asked = error.asked_seconds if isinstance(error, ProviderUnavailable) else 0
        return max(asked, BACKOFF_SECONDS[min(entry.attempts, len(BACKOFF_SECONDS) - 1)])

    def _confirm(self, entry: Entry, identity: Identity | None) -> None:
        if entry.kind == "session":
            self._indexes.remove(entry.session_key, identity)
            self._records.delete_tombstone(entry.session_key)
        self._outbox.done(entry.id)

    def _deny(self, tokens: Tokens) -> None:
        self._deny_list.add((*tokens.replaced, self._deny_list.dead(tokens)))

    def _hand_over(self, tokens: Tokens, new_session_key: str) -> bool:
        """Give the refresh tokens to the new session; false if that is gone."""
        return self._records.keep_refresh_tokens(new_session_key, tokens.all_refresh_tokens())


def _entry(session_key: str, reason: str, generation: int | None = None) -> Entry:
    """The intent to end a session; one with a condition must not stand in for one without."""
    suffix = "" if generation is None else f"-{generation}"
    return Entry(
        id=f"end-{session_key}{suffix}",
        kind="session",
        reason=reason,
        session_key=session_key,
        generation=generation,
    )
