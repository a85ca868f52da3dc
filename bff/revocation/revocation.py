"""How does a session end, whatever the reason?

The intent goes into the outbox, the record becomes a tombstone, its access tokens go on the
deny-list, its refresh tokens are revoked at the provider, and only then tombstone and intent go.
`drain` completes what a crash or an outage left behind; any replica may do it. `steps` has the
steps of one end, `group_end` those of many at once. Endpoints call this through `bff/sessions`.
"""

from __future__ import annotations

import math
from contextlib import AbstractContextManager

from bff.config import Config
from bff.core.background import Background
from bff.core.errors import ProviderUnavailable
from bff.core.model import Ended, Group, Tokens
from bff.provider.token_endpoint import TokenRevoker
from bff.revocation.cache_lease import CacheLease
from bff.revocation.drain import Drain
from bff.revocation.everyone_end import EveryoneEnd
from bff.revocation.group_end import GroupEnd
from bff.revocation.steps import EndSteps, intent
from bff.store import Entry, Stores


class Revocation:
    """Ends sessions, and revokes their refresh tokens.

    Args:
        stores: Where sessions, outbox, deny-list and watermarks are.
        revoker: The provider's revocation endpoint.
        background: Runs the drain soon after an end of many sessions.
        lease: Delays the response to an end while processes may still use a cached session.
        config: Timeouts and clock skew.
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
        # Only the process that wrote an entry works on it for so long; afterwards any process may.
        self._claim_seconds = 3 * config.provider_timeout_seconds + 5
        self._steps = EndSteps(stores, revoker, lease, config)
        self._groups = GroupEnd(
            stores,
            lease,
            self._claim_seconds,
            skew_seconds=config.clock_skew_seconds,
            # Auth0: sends `auth_time` whenever `max_age` asks for it.
            needs_auth_time=not (config.accept_iat_for_auth_time or config.auth0_domain),
        )
        self._everyone = EveryoneEnd(stores, self._groups, self._claim_seconds)
        self._drain = Drain(stores.outbox, self._take, self._steps.backoff)

    def together(self) -> AbstractContextManager[None]:
        """A context in which several ends wait for the session caches once, when it closes."""
        return self._lease.together()

    def end(self, session_key: str, reason: str, *, generation: int | None = None) -> bool:
        """End a session and revoke its tokens.

        No process can use a cached copy of the session any more when this returns.

        Args:
            session_key: The session's hash.
            reason: Why, as a short word for the audit log.
            generation: End it only if its tokens are still of this generation.

        Returns:
            Whether there was such a session (or its tombstone).

        Raises:
            StoreUnavailable: The session may not have ended; the caller must report that.
        """
        ended = self._run(intent(session_key, reason, generation))
        self._lease.wait()
        return ended

    def end_into(self, session_key: str, new_session_key: str) -> bool:
        """End a session whose user signed in again; the new session takes over its refresh tokens.

        At many providers both belong to one grant, so revoking the old one would revoke the new.
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
            before_at: When an event happened that is reported late, by the provider's clock.
                Only sessions from before then are ended; see `GroupEnd.end`.

        Returns:
            How many sessions there were.

        Raises:
            StoreUnavailable: Some sessions may not have ended; try again.
        """
        if group.kind == "everyone" and before_at is None:
            return self.end_everyone(reason).count
        ended = self._groups.end(group, reason, before_at)
        self._drain_soon()
        self._lease.wait()
        return ended

    def end_everyone(self, reason: str, within_seconds: float = math.inf) -> Ended:
        """End all sessions, as `end_group`; what takes longer than that goes on by itself.

        Raises:
            StoreUnavailable: Some sessions have not ended yet; the drain ends them later.
        """
        ended = self._everyone.end(reason, within_seconds)
        self._drain_soon()
        self._lease.wait()
        return ended

    def end_these(
        self, session_keys: list[str], reason: str, *, waits_for_caches: bool = True
    ) -> int:
        """End these sessions and no others, without a watermark; returns how many there were.

        Args:
            session_keys: The sessions' hashes.
            reason: Why, as a short word for the audit log.
            waits_for_caches: Return when no process can use a cached copy of them any more; false
                if no response depends on the end.

        Raises:
            StoreUnavailable: Some sessions may not have ended; try again.
        """
        ended = self._groups.end_sessions(session_keys, reason)
        if session_keys:
            self._drain_soon()
        if waits_for_caches:
            self._lease.wait()
        return ended

    def revoke_tokens(self, tokens: Tokens, reason: str) -> None:
        """Revoke tokens that belong to no session.

        Raises:
            StoreUnavailable: They are not in the outbox; the caller must keep them and try again.
        """
        self._run(self._steps.of_tokens(tokens, reason))

    def drain(self) -> int:
        """Try the entries that are due, until the provider fails; returns how many are confirmed.

        Raises:
            StoreUnavailable: Redis is down; no entry is lost.
        """
        confirmed, may_be_more = self._drain.run(self._claim_seconds)
        if may_be_more:
            self._drain_soon()  # Other work runs between two rounds.
        return confirmed

    def retry_all(self) -> int:
        """Try all entries, due or not, until the provider fails; returns how many are confirmed.

        Raises:
            StoreUnavailable: Redis is down; no entry is lost.
        """
        return self._drain.run_all()

    def _take(self, entry: Entry) -> None:
        """Take all steps of an entry of the outbox, whoever has written it."""
        if entry.kind == "everyone":
            self._everyone.complete(entry)
        else:
            self._steps.run(entry)

    def _run(self, entry: Entry) -> bool:
        """Write the intent, and take its steps; a provider outage doesn't make this fail."""
        self._outbox.add(entry, due_in_seconds=self._claim_seconds)
        try:
            return self._steps.run(entry)
        except ProviderUnavailable:
            return True

    def _drain_soon(self) -> None:
        self._background.run_soon(self.drain)
