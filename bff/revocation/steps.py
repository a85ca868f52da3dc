"""What are the steps from an intent in the outbox to the provider's confirmation?

Tombstone, deny-list, revocation at the provider; then tombstone and intent are deleted. Each step
can be repeated, so any process can finish an entry that another one left unfinished.
docs/architecture/ending.md shows what a kill between two steps leaves. Source: RFC 7009.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable

import msgspec

from bff.config import Config
from bff.core import audit
from bff.core.errors import (
    ProviderError,
    ProviderRejected,
    ProviderUnavailable,
    SealInvalid,
    SealKeyUnknown,
    StoreUnavailable,
)
from bff.core.model import Identity, Tokens
from bff.provider.token_endpoint import TokenRevoker
from bff.revocation.cache_lease import CacheLease
from bff.revocation.heirs import Heirs
from bff.store import Entry, Stores

log = logging.getLogger(__name__)

BACKOFF_SECONDS = (1, 2, 4, 6)
"""Waits between tries; the last repeats. Short, since a drain stops at the first outage."""
PERMANENT_RETRY_SECONDS = 3600


class EndSteps:
    """Takes one entry of the outbox through all steps.

    Args:
        stores: Outbox, session records, indexes, deny-list.
        revoker: The provider's revocation endpoint.
        lease: Delays the response to an end while processes may still use a cached session.
        config: How long a caller waits for the provider, and how long a refresh token is valid.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        stores: Stores,
        revoker: TokenRevoker,
        lease: CacheLease,
        config: Config,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stores = stores
        self._revoker = revoker
        self._heirs = Heirs(stores)
        self._lease = lease
        self._revoke_seconds = config.provider_timeout_seconds
        # An older refresh token has expired at the provider, so its revocation is given up.
        self._token_lifetime_seconds = config.refresh_token_lifetime_seconds
        self._clock = clock

    def run(self, entry: Entry) -> bool:
        """Take all steps for *entry*.

        Returns:
            Whether there was anything to end.

        Raises:
            ProviderUnavailable: The session is over, but its revocation isn't confirmed; the entry
                waits for its next try.
            StoreUnavailable: Redis failed before the session was over.
        """
        try:
            if entry.kind == "tokens":
                tokens = self._stores.outbox.open_tokens(entry)
                self._deny_and_revoke(entry, tokens, tokens.owner)
                return True
            return self._end_session(entry)
        except SealInvalid as error:
            self._seal_invalid(entry, error)
            return True

    def of_tokens(self, tokens: Tokens, reason: str) -> Entry:
        """The entry for tokens that belong to no session."""
        entry_id = f"tokens-{secrets.token_hex(16)}"
        sealed = self._stores.outbox.seal_tokens(entry_id, tokens)
        return Entry(id=entry_id, kind="tokens", reason=reason, sealed_tokens=sealed)

    def backoff(self, entry: Entry, error: ProviderError) -> float:
        """How many seconds to wait after *error*: what the provider asked for, or longer."""
        asked = error.asked_seconds if isinstance(error, ProviderUnavailable) else 0
        return max(asked, BACKOFF_SECONDS[min(entry.attempts, len(BACKOFF_SECONDS) - 1)])

    def _end_session(self, entry: Entry) -> bool:
        key, records = entry.session_key, self._stores.records
        ended = records.end_record(key, entry.reason, entry.generation)
        if ended.kind in ("ended", "tomb", "over"):
            self._lease.begin()  # A process may still cache the session.
        if ended.kind in ("gone", "over", "other"):
            self._stores.outbox.done(entry.id)
            return False
        if ended.kind == "ended":
            user = records.user_of(key, ended.sealed_identity)
            audit.record("session_ended", "ok", reason=entry.reason, session_key=key, user=user)
        tokens = records.open_tokens(key, ended.sealed_tokens)
        identity = records.open_identity(key, ended.sealed_identity)
        if entry.into and records.keep_refresh_tokens(entry.into, tokens.all_refresh_tokens()):
            # The user signed in again, and the new session has the refresh tokens now.
            self._deny(tokens)
            self._forget(entry, identity)
        else:
            self._deny_and_revoke(entry, tokens, identity)
        return True

    def _deny_and_revoke(self, entry: Entry, tokens: Tokens, identity: Identity | None) -> None:
        self._deny(tokens)
        # The session is over now, and what is left to do is in the outbox: neither the provider nor
        # Redis can make a logout fail any more.
        try:
            if tokens.all_refresh_tokens() and not self._heirs.take_over(entry, tokens, identity):
                self._revoke_all(tokens, entry, identity)
            self._forget(entry, identity)
        except ProviderError as error:
            self._postpone(entry, error, identity)
            if isinstance(error, ProviderUnavailable):
                raise
        except StoreUnavailable as error:
            log.warning("revocation not recorded, it will be repeated: %s", error.detail)

    def _deny(self, tokens: Tokens) -> None:
        self._stores.deny_list.add(self._stores.deny_list.all_of(tokens))

    def _revoke_all(self, tokens: Tokens, entry: Entry, identity: Identity | None) -> None:
        give_up_at = self._clock() + self._revoke_seconds
        if self._stores.sent_revocations is not None:
            # Before the request, since the provider's log may report the revocation at once.
            self._stores.sent_revocations.note(identity.sid if identity else None)
        refresh_tokens = tokens.all_refresh_tokens()
        for number, refresh_token in enumerate(refresh_tokens):
            if self._clock() >= give_up_at:
                rest = msgspec.structs.replace(
                    Tokens.without_session(client_id=tokens.client_id),
                    kept_refresh_tokens=refresh_tokens[number:],
                    owner=identity,
                )
                # Otherwise each try would begin with those that are revoked already.
                self._stores.outbox.add(self.of_tokens(rest, entry.reason), due_in_seconds=0)
                return
            self._revoker.revoke(refresh_token, client_id=tokens.client_id)
            _record("token_revoked", "ok", entry, identity, entry.reason)

    def _postpone(self, entry: Entry, error: ProviderError, identity: Identity | None) -> None:
        code = error.error if isinstance(error, ProviderRejected) else error.code
        try:
            if self._is_expired(entry):
                self._give_up(entry, identity, code)
                return
            permanent = isinstance(error, ProviderRejected)
            wait = PERMANENT_RETRY_SECONDS if permanent else self.backoff(entry, error)
            # A permanent refusal needs an operator; an outage passes.
            event: audit.Event = "revocation_failed" if permanent else "revocation_queued"
            _record(event, "failed", entry, identity, f"{code}: {error.detail}")
            self._stores.outbox.reschedule(entry, wait, code)
        except StoreUnavailable:
            log.warning("revocation not rescheduled; it is due again when its claim ends")

    def _seal_invalid(self, entry: Entry, error: SealInvalid) -> None:
        """Report it, and retry later, since the right key may be configured again."""
        _record("seal_invalid", "failed", entry, None, error.detail)
        if self._is_expired(entry):
            self._give_up(entry, None, SealInvalid.code)
            return
        wait = PERMANENT_RETRY_SECONDS
        if isinstance(error, SealKeyUnknown):
            # Another replica may have the key, so soon at first: the access token is alive.
            wait = min(wait, 2 ** min(entry.attempts, 20))
        self._stores.outbox.reschedule(entry, wait, SealInvalid.code)

    def _is_expired(self, entry: Entry) -> bool:
        return self._stores.outbox.age_seconds(entry) > self._token_lifetime_seconds

    def _give_up(self, entry: Entry, identity: Identity | None, code: str) -> None:
        _record("revocation_given_up", "failed", entry, identity, code)
        self._forget(entry, identity)

    def _forget(self, entry: Entry, identity: Identity | None) -> None:
        """The last step: nothing is left to do for *entry*."""
        if entry.kind == "session":
            self._stores.indexes.remove(entry.session_key, identity)
            self._stores.records.delete_tombstone(entry.session_key, self._lease.trace_milliseconds)
        self._stores.outbox.done(entry.id)


def intent(session_key: str, reason: str, generation: int | None = None) -> Entry:
    """The intent to end a session. With a *generation* it can't stand for an unconditional one."""
    suffix = "" if generation is None else f"-{generation}"
    return Entry(
        id=f"end-{session_key}{suffix}",
        kind="session",
        reason=reason,
        session_key=session_key,
        generation=generation,
    )


def _record(
    event: audit.Event,
    outcome: audit.Outcome,
    entry: Entry,
    identity: Identity | None,
    reason: str,
) -> None:
    user = identity.user if identity else None
    audit.record(event, outcome, reason=reason, session_key=entry.session_key, user=user)
