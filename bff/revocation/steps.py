"""What are the steps from an intent in the outbox to the provider's confirmation?

Tombstone, deny-list, revocation, and then everything is forgotten. Each step can be repeated by
whoever finds the entry half done. Source: DESIGN, section 6; RFC 7009.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from bff.core import audit
from bff.core.errors import (
    ProviderError,
    ProviderRejected,
    ProviderUnavailable,
    SealInvalid,
    StoreUnavailable,
)
from bff.core.model import Identity, Tokens
from bff.revocation.cache_lease import CacheLease
from bff.store import DenyList, Entry, Indexes, Outbox, SessionRecords

log = logging.getLogger(__name__)

BACKOFF_SECONDS = (1, 2, 4, 6)
"""Waits between tries; the last repeats. A drain stops at the first outage, so this is gentle."""
PERMANENT_RETRY_SECONDS = 3600


class Revoker(Protocol):
    """What is needed of the provider."""

    def revoke(self, refresh_token: str, *, client_id: str | None = None) -> None:
        """Revoke at the provider (RFC 7009), as another client if so; raises ProviderError."""


class EndSteps:
    """Brings one entry of the outbox to its end.

    Args:
        lease: Told when a session is gone, so that its end isn't answered too soon.
        answer_seconds: How long a caller may be kept waiting for the provider.
        token_lifetime_seconds: After so long a refresh token has expired at the provider by itself,
            and what waits for its revocation is given up.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        *,
        records: SessionRecords,
        indexes: Indexes,
        outbox: Outbox,
        deny_list: DenyList,
        provider: Revoker,
        lease: CacheLease,
        answer_seconds: float,
        token_lifetime_seconds: float,
        clock: Callable[[], float],
    ) -> None:
        self._records = records
        self._indexes = indexes
        self._outbox = outbox
        self._deny_list = deny_list
        self._provider = provider
        self._lease = lease
        self._answer_seconds = answer_seconds
        self._token_lifetime_seconds = token_lifetime_seconds
        self._clock = clock
        self.before_revoking: Callable[[Identity | None], object] = lambda identity: None
        """Called before the provider is asked, with whose session it was, if that is known."""

    def complete(self, entry: Entry) -> bool:
        """Take all steps for *entry*.

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
            self._seal_invalid(entry, error)
            return True

    def backoff(self, entry: Entry, error: ProviderError) -> float:
        """How many seconds to wait after *error*: what the provider asked for, or longer."""
        asked = error.asked_seconds if isinstance(error, ProviderUnavailable) else 0
        return max(asked, BACKOFF_SECONDS[min(entry.attempts, len(BACKOFF_SECONDS) - 1)])

    def _complete_session(self, entry: Entry) -> bool:
        key = entry.session_key
        ended = self._records.end_record(key, entry.reason, entry.generation)
        if ended.kind in ("ended", "tomb", "over"):
            self._lease.begin()
        if ended.kind in ("gone", "over", "other"):
            self._outbox.done(entry.id)
            return False
        if ended.kind == "ended":
            user = self._records.user_of(key, ended.sealed_identity)
            audit.record("session_ended", "ok", reason=entry.reason, session_key=key, user=user)
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
            self._revoke_all(tokens, entry, identity)
            self._confirm(entry, identity)
        except ProviderError as error:
            self._postpone(entry, error, identity)
            if isinstance(error, ProviderUnavailable):
                raise
        except StoreUnavailable as error:
            log.warning("revocation not recorded, it will be repeated: %s", error.detail)

    def _revoke_all(self, tokens: Tokens, entry: Entry, identity: Identity | None) -> None:
        give_up_at = self._clock() + self._answer_seconds
        self.before_revoking(identity)
        for refresh_token in tokens.all_refresh_tokens():
            if self._clock() >= give_up_at:
                raise ProviderUnavailable("no time left before the answer")
            self._provider.revoke(refresh_token, client_id=tokens.client_id)
            self._record("token_revoked", "ok", entry, identity, entry.reason)

    def _postpone(self, entry: Entry, error: ProviderError, identity: Identity | None) -> None:
        code = error.error if isinstance(error, ProviderRejected) else error.code
        try:
            if self._outbox.age_seconds(entry) > self._token_lifetime_seconds:
                self._record("revocation_given_up", "failed", entry, identity, code)
                self._confirm(entry, identity)
                return
            permanent = isinstance(error, ProviderRejected)
            wait = PERMANENT_RETRY_SECONDS if permanent else self.backoff(entry, error)
            reason = f"{code}: {error.detail}"
            # A permanent refusal is a failure that somebody has to look at; the rest passes.
            self._record("revocation_failed" if permanent else "revocation_queued", "failed",
                         entry, identity, reason)  # fmt: skip
            self._outbox.reschedule(entry, wait, code)
        except StoreUnavailable:
            log.warning("revocation not rescheduled; it is due again when its lease ends")

    def _seal_invalid(self, entry: Entry, error: SealInvalid) -> None:
        """Kept, because the right key may come back; reported, since nobody can revoke it now."""
        self._record("seal_invalid", "failed", entry, None, error.detail)
        if self._outbox.age_seconds(entry) > self._token_lifetime_seconds:
            self._record("revocation_given_up", "failed", entry, None, SealInvalid.code)
            self._confirm(entry, None)
        else:
            self._outbox.reschedule(entry, PERMANENT_RETRY_SECONDS, SealInvalid.code)

    def _record(
        self,
        event: audit.Event,
        outcome: audit.Outcome,
        entry: Entry,
        identity: Identity | None,
        reason: str,
    ) -> None:
        user = identity.user if identity else None
        audit.record(event, outcome, reason=reason, session_key=entry.session_key, user=user)

    def _confirm(self, entry: Entry, identity: Identity | None) -> None:
        if entry.kind == "session":
            self._indexes.remove(entry.session_key, identity)
            self._records.delete_tombstone(entry.session_key, self._lease.trace_milliseconds)
        self._outbox.done(entry.id)

    def _deny(self, tokens: Tokens) -> None:
        self._deny_list.add(self._deny_list.all_of(tokens))

    def _hand_over(self, tokens: Tokens, new_session_key: str) -> bool:
        """Give the refresh tokens to the new session; false if that is gone."""
        return self._records.keep_refresh_tokens(new_session_key, tokens.all_refresh_tokens())


def intent(session_key: str, reason: str, generation: int | None = None) -> Entry:
    """The intent to end a session; one with a condition must not stand in for one without."""
    suffix = "" if generation is None else f"-{generation}"
    return Entry(
        id=f"end-{session_key}{suffix}",
        kind="session",
        reason=reason,
        session_key=session_key,
        generation=generation,
    )
