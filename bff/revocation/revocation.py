"""How does a session end, whatever the reason?

The intent goes into the outbox, the record becomes a tombstone, its access tokens go on the
deny-list, its refresh tokens are revoked at the provider, and only then tombstone and intent go.
`drain` completes what a crash or an outage left behind; any replica may do it. `steps` holds the
steps of one end, `group_end` those of many at once. Callers come in through `bff/sessions`.
"""

from __future__ import annotations

import secrets
from contextlib import AbstractContextManager

from bff.config import Config
from bff.core.background import Background
from bff.core.errors import ProviderUnavailable
from bff.core.model import Group, Tokens
from bff.provider.token_endpoint import TokenRevoker
from bff.revocation.cache_lease import CacheLease
from bff.revocation.group_end import GroupEnd
from bff.revocation.steps import EndSteps, intent
from bff.store import Entry, Stores

CLAIM_COUNT = 20
"""How many due entries a drain claims at once."""


class Revocation:
    """Ends sessions, and has every refresh token revoked.

    Args:
        stores: Where sessions, outbox, deny-list and watermarks are.
        revoker: The provider's revocation endpoint.
        background: Runs the drain when more is due at once than a caller does.
        lease: Delays the response to an end while processes may still use a cached session.
        config: Time-outs and clock skew.
    """

    def __init__(
        self,
        stores: Stores,
        revoker: TokenRevoker,
        background: Background,
        lease: CacheLease,
        config: Config,
    ) -> None:
        self._outbox = stores.outbox
        self._background = background
        self._lease = lease
        # The caller works on its own entry until then; afterwards any process may.
        self._claim_seconds = 3 * config.provider_timeout_seconds + 5
        self._steps = EndSteps(stores, revoker, lease, config)
        self._groups = GroupEnd(
            stores, lease, self._claim_seconds, skew_seconds=config.clock_skew_seconds
        )

    def together(self) -> AbstractContextManager[None]:
        """Let several ends that share one response wait together; see `CacheLease.together`."""
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
            is_answered: A response tells of the end, so it waits until every process knows.

        Returns:
            Whether there was such a session (or its tombstone).

        Raises:
            StoreUnavailable: The session may live on; the caller must say so.
        """
        ended = self._run(intent(session_key, reason, generation))
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
        ended = self._run(entry)
        self._lease.wait()
        return ended

    def end_group(self, group: Group, reason: str, *, before_at: float | None = None) -> int:
        """End all sessions of a user, of a provider session, or of all users.

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
            StoreUnavailable: Some sessions may live on; ask again.
        """
        ended = self._groups.end(group, reason, before_at)
        self._drain_soon()
        self._lease.wait()
        return ended

    def end_these(self, session_keys: list[str], reason: str) -> int:
        """End these sessions and no others, without a watermark; returns how many there were.

        Raises:
            StoreUnavailable: Some sessions may live on; ask again.
        """
        ended = self._groups.end_sessions(session_keys, reason)
        self._drain_soon()
        self._lease.wait()
        return ended

    def revoke_tokens(self, tokens: Tokens, reason: str) -> None:
        """Revoke tokens that belong to no session.

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
        self._run(entry)

    def drain(self) -> int:
        """Try what is due, until the provider fails; returns how many entries were confirmed.

        Raises:
            StoreUnavailable: Redis is away; nothing is lost by it.
        """
        confirmed = 0
        due = self._outbox.claim_due(self._claim_seconds, CLAIM_COUNT)
        for position, entry in enumerate(due):
            try:
                self._steps.run(entry)
                confirmed += self._outbox.read(entry.id) is None
            except ProviderUnavailable as error:
                # One entry meets the outage; the others of this round wait as long as it does.
                for waiting in due[position + 1 :]:
                    self._outbox.put_off(waiting, self._steps.backoff(entry, error))
                return confirmed
        if len(due) == CLAIM_COUNT:
            self._drain_soon()  # There may be more; other work runs between two rounds.
        return confirmed

    def retry_all(self) -> int:
        """Try everything that waits, due or not, until the provider fails; how many are done.

        Raises:
            StoreUnavailable: Redis is away; nothing is lost by it.
        """
        done = 0
        for entry in self._outbox.waiting():
            try:
                self._steps.run(entry)
            except ProviderUnavailable:
                break
            done += self._outbox.read(entry.id) is None
        return done

    def _run(self, entry: Entry) -> bool:
        """Write the intent, and take its steps; the response doesn't depend on the provider."""
        self._outbox.add(entry, due_in_seconds=self._claim_seconds)
        try:
            return self._steps.run(entry)
        except ProviderUnavailable:
            return True

    def _drain_soon(self) -> None:
        self._background.run_soon(self.drain)
