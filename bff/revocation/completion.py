"""What are the steps from an intent in the outbox to the provider's confirmation?

Tombstone, deny-list, revocation, and then everything is forgotten. Each step can be repeated by
whoever finds the entry half done. Source: DESIGN, section 6; RFC 7009.
"""

from __future__ import annotations

import logging
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
from bff.model import Identity, Tokens
from bff.store import DenyList, Entry, Indexes, Outbox, Records

log = logging.getLogger(__name__)

BACKOFF_SECONDS = (1, 2, 4, 8)
"""Waits between tries; the last repeats. A drain stops at the first outage, so this is gentle."""
PERMANENT_RETRY_SECONDS = 3600


class Revoker(Protocol):
    """What is needed of the provider."""

    def revoke(self, refresh_token: str) -> None:
        """Revoke at the provider (RFC 7009); raises ProviderError."""


class Completion:
    """Brings one entry of the outbox to its end.

    Args:
        answer_seconds: How long a caller may be kept waiting for the provider.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        *,
        records: Records,
        indexes: Indexes,
        outbox: Outbox,
        deny_list: DenyList,
        provider: Revoker,
        answer_seconds: float,
        clock: Callable[[], float],
    ) -> None:
        self._records = records
        self._indexes = indexes
        self._outbox = outbox
        self._deny_list = deny_list
        self._provider = provider
        self._answer_seconds = answer_seconds
        self._clock = clock

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
            # Kept, because the right key may come back; reported, because nobody can revoke it now.
            audit.record(
                "seal_invalid", "failed", reason=error.detail, session_key=entry.session_key
            )
            self._outbox.reschedule(entry, PERMANENT_RETRY_SECONDS, SealInvalid.code)
            return True

    def backoff(self, entry: Entry, error: ProviderError) -> float:
        """How many seconds to wait after *error*: what the provider asked for, or longer."""
        asked = error.asked_seconds if isinstance(error, ProviderUnavailable) else 0
        return max(asked, BACKOFF_SECONDS[min(entry.attempts, len(BACKOFF_SECONDS) - 1)])

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
        wait = PERMANENT_RETRY_SECONDS if permanent else self.backoff(entry, error)
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
