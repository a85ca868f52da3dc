"""Whose turn is it to ask the provider for a session's tokens, and what do the others do meanwhile?

While the old token lives, one request renews it and the others go on with the old one. Once it is
dead they wait for that one, within bounds. Across processes one leased lock for each session
decides whose turn it is, whatever the token is for: several may spend the same refresh token.
Within a process, `SingleFlight` lets one thread ask for all. What the provider gave is written only
over the generation that was read; if there is nothing left to write it over, it is revoked. What
exactly is asked for is the token source's matter.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

import msgspec

from bff.core import audit
from bff.core.errors import (
    BFFError,
    IDTokenInvalid,
    ProviderMisconfigured,
    ProviderRejected,
    ProviderUnavailable,
    RouteTokenRefused,
    SessionEnded,
)
from bff.core.model import IssuedTokens, RouteToken, Session, Tokens
from bff.store import RefreshLock
from bff.tokens.pending_writes import PendingWrites
from bff.tokens.single_flight import SingleFlight
from bff.tokens.token_source import TokenSource

POLL_SECONDS = (0.01, 0.02, 0.04, 0.08)
"""Waits of a process for another one's turn; the last repeats."""
REMEMBER_FAILURE_SECONDS = 2.0
"""So long nobody asks the provider again after it failed."""
REMEMBER_MAX_SECONDS = 30.0
"""A provider's `Retry-After` is honoured up to this."""
REMEMBER_REFUSAL_SECONDS = 30.0
"""So long nobody asks again for what a route was refused; it is a matter of registration."""
DEAD_MARGIN_SECONDS = 1.0
"""An access token counts as dead this long before its end: it must survive the way upstream."""


class TokenRenewal:
    """Hands out access tokens that live, and runs the errands for them.

    Args:
        refresh_lock: Decides which process may ask.
        holding: Writes what the provider gave.
        provider_timeout_seconds: The total of one attempt.
        refresh_before_seconds: How long before its end a token is renewed.
    """

    def __init__(
        self,
        refresh_lock: RefreshLock,
        holding: PendingWrites,
        *,
        provider_timeout_seconds: float,
        refresh_before_seconds: int,
    ) -> None:
        self._refresh_lock = refresh_lock
        self._holding = holding
        self._before_seconds = refresh_before_seconds
        # The lease must outlast two tries at the provider; it is renewed between them.
        self._lease_seconds = 2 * provider_timeout_seconds + 5
        self._wait_seconds = 2 * provider_timeout_seconds + 2
        self._flights: SingleFlight[Tokens] = SingleFlight(self._wait_seconds)

    def access_token(self, session: Session, errand: TokenSource) -> str:
        """The access token that *errand* is after, renewed first if it ends soon.

        Raises:
            SessionEnded: The provider refuses to go on; the session has ended.
            RouteTokenRefused: It gives no such token; the session stays.
            ProviderUnavailable: The token is dead and the provider is away; the session stays.
            ProviderMisconfigured: Our registration is wrong; the session stays.
            StoreUnavailable: Redis is away; the session stays.
        """
        token = errand.token(session.tokens)
        if token is not None:
            window = window_seconds(token, self._before_seconds)
            if session.read_at < token.expires_at - window:
                return token.access_token
            if session.read_at < token.expires_at - min(DEAD_MARGIN_SECONDS, window / 2):
                return self._renewed_if_free(session, errand, token.access_token)
        if not errand.can_be_had(session.tokens):
            raise errand.impossible(session)
        name = f"{session.key} {errand.name}"
        tokens = self._flights.share(name, lambda: self._renewed(session, errand))
        return _wanted(errand, tokens)

    # ------------------------------------------------------------ whose turn is it
    def _renewed_if_free(self, session: Session, errand: TokenSource, old: str) -> str:
        """Renew if nobody else does; the old token serves meanwhile and after any failure."""
        if not errand.can_be_had(session.tokens):
            return old
        try:
            name = f"{session.key} {errand.name}"
            fresh = self._flights.try_alone(name, lambda: self._at_once(session, errand))
        except SessionEnded:
            raise
        except BFFError as error:
            _record(errand.failed, "failed", f"{error.code}, the old token serves", session, errand)
            return old
        return old if fresh is None else _wanted(errand, fresh)

    def _at_once(self, session: Session, errand: TokenSource) -> Tokens | None:
        errand.prepare(session)
        return self._one_turn(session, errand)[0]

    def _renewed(self, session: Session, errand: TokenSource) -> Tokens:
        """Renew, or wait for the process that does."""
        errand.prepare(session)
        give_up_at = time.monotonic() + self._wait_seconds
        for attempt in range(1_000_000):
            fresh, session = self._one_turn(session, errand)
            if fresh is not None:
                return fresh
            if time.monotonic() >= give_up_at:
                break
            time.sleep(POLL_SECONDS[min(attempt, len(POLL_SECONDS) - 1)])
        raise ProviderUnavailable("another process did not finish refreshing in time")

    def _one_turn(self, session: Session, errand: TokenSource) -> tuple[Tokens | None, Session]:
        """Ask for the lock: fresh tokens, or None while another has it; and the newest view.

        A newer generation may be another errand's work; then this one is asked for over it.
        """
        while True:
            owner = secrets.token_hex(8)
            turn = self._refresh_lock.begin_refresh(
                session.key, session.generation, owner, self._lease_seconds, errand.name
            )
            if turn.kind == "yours":
                return self._spend(session, errand, owner), session
            if turn.kind == "gone":
                raise SessionEnded("ended while its token was due")
            if turn.kind == "failed":
                raise remembered(turn.failure)
            if turn.tokens is None:
                return None, session
            session = msgspec.structs.replace(
                session, generation=turn.generation, tokens=turn.tokens
            )
            if self._is_fresh(errand.token(turn.tokens), session.read_at):
                return turn.tokens, session

    def _is_fresh(self, token: Tokens | RouteToken | None, now: float) -> bool:
        if token is None:
            return False
        return now < token.expires_at - window_seconds(token, self._before_seconds)

    # ------------------------------------------------------------ with the lock
    def _spend(self, session: Session, errand: TokenSource, owner: str) -> Tokens | None:
        """Ask the provider; the lock is ours and is given back here.

        None if another, to whom our lease had passed, left nothing of what we got.
        """
        try:
            answer = self._asked(session, errand, owner)
        except (ProviderRejected, IDTokenInvalid) as error:
            found = errand.refused(session, error)
            if isinstance(found, BFFError):
                self._give_back(session, errand, owner, found)
                raise found from error
            self._refresh_lock.end_refresh(session.key, owner, name=errand.name)
            return found
        except BFFError as error:
            self._give_back(session, errand, owner, error)
            raise
        return self._keep(session, errand, owner, answer)

    def _asked(self, session: Session, errand: TokenSource, owner: str) -> IssuedTokens:
        try:
            return errand.ask(session)
        except ProviderUnavailable as error:
            # No answer after the request was sent: the rotation may have happened. Within the
            # provider's overlap period the same token works once more.
            lock_is_ours = error.maybe_acted and self._refresh_lock.renew_lock(
                session.key, owner, self._lease_seconds
            )
            if not lock_is_ours:
                raise
        return errand.ask(session)

    def _keep(
        self, session: Session, errand: TokenSource, owner: str, answer: IssuedTokens
    ) -> Tokens | None:
        """Write what the provider gave; hold it if Redis is away, revoke it if it is too late."""
        held = errand.held(session, owner, answer)
        tokens = session.tokens if held is None else self._holding.settle(held)
        if tokens is None:
            raise SessionEnded("ended while its token was being refreshed")
        objection = errand.objection(answer)
        if objection is not None:
            errand.throw_away(session, answer)
            refusal = RouteTokenRefused(objection)
            self._give_back(session, errand, owner, refusal)
            raise refusal
        self._refresh_lock.end_refresh(session.key, owner, name=errand.name)
        if errand.token(tokens) is None:
            return None
        _record(errand.done, "ok", "", session, errand)
        return tokens

    def _give_back(
        self, session: Session, errand: TokenSource, owner: str, error: BFFError
    ) -> None:
        refused = isinstance(error, RouteTokenRefused)
        outcome: audit.Outcome = "refused" if refused else "failed"
        _record(errand.failed, outcome, f"{error.code}: {error.detail}", session, errand)
        seconds = REMEMBER_REFUSAL_SECONDS if refused else remember_seconds(error)
        self._refresh_lock.end_refresh(session.key, owner, error.code, seconds, errand.name)


def window_seconds(token: Tokens | RouteToken, before_seconds: float) -> float:
    """How long before its end *token* is renewed: never more than a fifth of its life."""
    return min(before_seconds, (token.expires_at - token.issued_at) / 5)


def remember_seconds(error: BFFError) -> float:
    """For how long nobody asks again after *error*."""
    asked = error.asked_seconds if isinstance(error, ProviderUnavailable) else 0
    return min(max(REMEMBER_FAILURE_SECONDS, asked), REMEMBER_MAX_SECONDS)


def remembered(code: str) -> BFFError:
    """The failure that another request met a moment ago."""
    known: dict[str, Callable[[], BFFError]] = {
        ProviderMisconfigured.code: lambda: ProviderMisconfigured("remembered"),
        ProviderRejected.code: lambda: ProviderRejected("remembered", 400),
        RouteTokenRefused.code: lambda: RouteTokenRefused("remembered"),
    }
    return known.get(code, lambda: ProviderUnavailable("remembered"))()


def _wanted(errand: TokenSource, tokens: Tokens) -> str:
    token = errand.token(tokens)
    if token is None:
        raise ProviderUnavailable("another request left none")
    return token.access_token


def _record(
    event: audit.Event, outcome: audit.Outcome, reason: str, session: Session, errand: TokenSource
) -> None:
    audit.record(
        event, outcome, reason=reason, session_key=session.key, user=session.identity.user,
        rule=errand.name or None,
    )  # fmt: skip
