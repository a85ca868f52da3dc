"""How does a session's access token stay alive, and how is a refresh token spent only once?

While the old access token lives, one request renews it and the others go on with the old one. Once
it is dead they wait for that one, within bounds. Across processes a leased lock in Redis decides
whose turn it is; within a process, `Flights` lets one thread ask for all. What the provider gave is
written only over the generation that was read; if there is nothing left to write it over, it is
revoked. Source: DESIGN, section 6.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Protocol

import msgspec

from bff import audit
from bff.errors import (
    BFFError,
    IDTokenInvalid,
    ProviderMisconfigured,
    ProviderRejected,
    ProviderUnavailable,
    SessionEnded,
)
from bff.model import Session, TokenAnswer, Tokens
from bff.revocation import Revocation
from bff.sessions.flights import Flights
from bff.sessions.holding import Held, Holding
from bff.store import DenyList, Records

POLL_SECONDS = (0.01, 0.02, 0.04, 0.08)
"""Waits of a process for another one's refresh; the last repeats."""
REMEMBER_FAILURE_SECONDS = 2.0
"""So long nobody asks the provider again after it failed."""
REMEMBER_MAX_SECONDS = 30.0
"""A provider's `Retry-After` is honoured up to this."""
DEAD_MARGIN_SECONDS = 1.0
"""An access token counts as dead this long before its end: it must survive the way upstream."""


class RefreshingProvider(Protocol):
    """What is needed of the provider."""

    def refresh(self, refresh_token: str, *, subject: str | None = None) -> TokenAnswer:
        """Exchange a refresh token, one attempt; raises ProviderError or IDTokenInvalid."""


class Refresher:
    """Hands out access tokens that live.

    Args:
        provider: Where refresh tokens are exchanged.
        provider_timeout_seconds: The total of one such exchange.
        refresh_before_seconds: How long before its end a token is renewed.
    """

    def __init__(
        self,
        *,
        provider: RefreshingProvider,
        records: Records,
        deny_list: DenyList,
        revocation: Revocation,
        holding: Holding,
        provider_timeout_seconds: float,
        refresh_before_seconds: int,
    ) -> None:
        self._provider = provider
        self._records = records
        self._deny_list = deny_list
        self._revocation = revocation
        self._holding = holding
        self._before_seconds = refresh_before_seconds
        # The lease must outlast two tries at the provider; it is renewed between them.
        self._lease_seconds = 2 * provider_timeout_seconds + 5
        self._wait_seconds = 2 * provider_timeout_seconds + 2
        self._flights: Flights[Tokens] = Flights(self._wait_seconds)

    def access_token(self, session: Session) -> str:
        """The session's access token, renewed first if it ends soon.

        Raises:
            SessionEnded: The provider refuses to go on; the session has ended.
            ProviderUnavailable: The token is dead and the provider is away; the session stays.
            ProviderMisconfigured: Our registration is wrong; the session stays.
            StoreUnavailable: Redis is away; the session stays.
        """
        tokens = session.tokens
        window = self._window_seconds(tokens)
        if session.read_at < tokens.expires_at - window:
            return tokens.access_token
        if session.read_at < tokens.expires_at - min(DEAD_MARGIN_SECONDS, window / 2):
            return self._renewed_if_free(session)
        if tokens.refresh_token is None:
            self._revocation.end(session.key, "access_token_expired")
            raise SessionEnded("no refresh token")
        return self._flights.share(session.key, lambda: self._renewed(session)).access_token

    def _window_seconds(self, tokens: Tokens) -> float:
        return min(self._before_seconds, (tokens.expires_at - tokens.issued_at) / 5)

    # ------------------------------------------------------------ whose turn is it
    def _renewed_if_free(self, session: Session) -> str:
        """Renew if nobody else does; the old token serves meanwhile and after any failure."""
        old = session.tokens
        if old.refresh_token is None:
            return old.access_token
        try:
            fresh = self._flights.try_alone(session.key, lambda: self._one_turn(session))
        except SessionEnded:
            raise
        except BFFError as error:
            audit.record(
                "token_refresh_failed", "failed",
                reason=f"{error.code}, the old token serves", session_key=session.key,
                user=session.identity.user,
            )  # fmt: skip
            return old.access_token
        return (fresh or old).access_token

    def _renewed(self, session: Session) -> Tokens:
        """Renew, or wait for the process that does."""
        give_up_at = time.monotonic() + self._wait_seconds
        for attempt in range(1_000_000):
            fresh = self._one_turn(session)
            if fresh is not None:
                return fresh
            if time.monotonic() >= give_up_at:
                break
            time.sleep(POLL_SECONDS[min(attempt, len(POLL_SECONDS) - 1)])
        raise ProviderUnavailable("another process did not finish refreshing in time")

    def _one_turn(self, session: Session) -> Tokens | None:
        """Ask for the lock once: fresh tokens, or None while another process has it."""
        owner = secrets.token_hex(8)
        turn = self._records.begin_refresh(
            session.key, session.generation, owner, self._lease_seconds
        )
        if turn.kind == "yours":
            return self._spend(session, owner)
        if turn.kind == "gone":
            raise SessionEnded("ended while its token was due")
        if turn.kind == "failed":
            raise _remembered(turn.failure)
        return turn.tokens

    # ------------------------------------------------------------ with the lock
    def _spend(self, session: Session, owner: str) -> Tokens:
        """Exchange the refresh token; the lock is ours and is given back here."""
        try:
            answer = self._exchange(session, owner)
        except (ProviderRejected, IDTokenInvalid) as error:
            return self._refused(session, owner, error)
        except BFFError as error:
            self._give_back(session, owner, error)
            raise
        return self._keep(session, owner, answer)

    def _exchange(self, session: Session, owner: str) -> TokenAnswer:
        refresh_token = session.tokens.refresh_token or ""
        subject = session.identity.subject
        try:
            return self._provider.refresh(refresh_token, subject=subject)
        except ProviderUnavailable as error:
            # No answer after the request was sent: the rotation may have happened. Within the
            # provider's overlap period the same token works once more.
            lock_is_ours = error.maybe_acted and self._records.renew_lock(
                session.key, owner, self._lease_seconds
            )
            if not lock_is_ours:
                raise
        return self._provider.refresh(refresh_token, subject=subject)

    def _refused(
        self, session: Session, owner: str, error: ProviderRejected | IDTokenInvalid
    ) -> Tokens:
        """The token is refused, or spent on an answer that names another user: no way on."""
        if isinstance(error, ProviderRejected) and error.error != "invalid_grant":
            self._give_back(session, owner, error)
            raise error
        audit.record(
            "token_refresh_failed", "refused", reason=error.detail, session_key=session.key,
            user=session.identity.user,
        )  # fmt: skip
        ended = self._revocation.end(session.key, "refresh_refused", generation=session.generation)
        if not ended:
            newer = self._records.load(session.key, slide=False)
            if newer is not None:
                self._records.end_refresh(session.key, owner)
                return newer[0].tokens
        raise SessionEnded("the provider refused the refresh token")

    def _keep(self, session: Session, owner: str, answer: TokenAnswer) -> Tokens:
        """Write what the provider gave; hold it if Redis is away, revoke it if it is too late."""
        held = Held(
            session_key=session.key,
            generation=session.generation,
            attempt=owner,
            spent=session.tokens.refresh_token,
            tokens=self._merged(session, answer),
        )
        tokens = self._holding.settle(held)
        if tokens is None:
            raise SessionEnded("ended while its token was being refreshed")
        self._records.end_refresh(session.key, owner)
        audit.record("token_refreshed", "ok", session_key=session.key, user=session.identity.user)
        return tokens

    def _merged(self, session: Session, answer: TokenAnswer) -> Tokens:
        old = session.tokens
        still_alive = (d for d in old.replaced if d.expires_at > session.read_at)
        return msgspec.structs.replace(
            old,
            access_token=answer.access_token,
            expires_at=answer.expires_at,
            issued_at=answer.issued_at,
            scope=old.scope if answer.scope is None else answer.scope,
            refresh_token=answer.refresh_token or old.refresh_token,
            id_token=answer.id_token if old.id_token and answer.id_token else old.id_token,
            replaced=(*still_alive, self._deny_list.dead(old)),
        )

    def _give_back(self, session: Session, owner: str, error: BFFError) -> None:
        asked = error.asked_seconds if isinstance(error, ProviderUnavailable) else 0
        audit.record(
            "token_refresh_failed", "failed", reason=f"{error.code}: {error.detail}",
            session_key=session.key, user=session.identity.user,
        )  # fmt: skip
        seconds = min(max(REMEMBER_FAILURE_SECONDS, asked), REMEMBER_MAX_SECONDS)
        self._records.end_refresh(session.key, owner, error.code, seconds)

    def abandon(self, tokens: Tokens, reason: str) -> None:
        """Get tokens revoked that have no session; they are held here while Redis is away."""
        self._holding.abandon(tokens, reason)


def _remembered(code: str) -> BFFError:
    """The failure that another request met a moment ago."""
    known: dict[str, Callable[[], BFFError]] = {
        ProviderMisconfigured.code: lambda: ProviderMisconfigured("remembered"),
        ProviderRejected.code: lambda: ProviderRejected("remembered", 400),
    }
    return known.get(code, lambda: ProviderUnavailable("remembered"))()
