"""Which access token does the BFF itself have for an API, and who asks for a new one?

One token serves all sessions and all replicas: providers bill each. Every process remembers it, and
looks in Redis now and then; before its end one of all asks for the next, and the others go on with
the old one.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from bff.config.route import TokenRule
from bff.core import audit
from bff.core.errors import (
    BFFError,
    ProviderRejected,
    ProviderUnavailable,
    RouteTokenRefused,
    StoreUnavailable,
)
from bff.core.model import IssuedTokens, RouteToken
from bff.provider.route_grants import rejection_reason
from bff.store.client_tokens import SharedClientToken, SharedClientTokens
from bff.tokens.renewal import (
    DEAD_MARGIN_SECONDS,
    POLL_SECONDS,
    REMEMBER_FAILURE_SECONDS,
    REMEMBER_REFUSAL_SECONDS,
    remember_seconds,
    remembered,
    window_seconds,
)
from bff.tokens.single_flight import SingleFlight

LOOK_SECONDS = 10.0
"""So often a process looks whether the token that it remembers is still the one in Redis."""


class ClientGrant(Protocol):
    """What is needed of the provider."""

    def client_token(self, rule: TokenRule) -> IssuedTokens:
        """Ask for one, one attempt; raises ProviderError."""


@dataclass(slots=True)
class _Known:
    """What this process remembers; instants are of its monotonic clock."""

    token: RouteToken
    dead_at: float
    next_at: float
    """When somebody has to look again, or to renew."""


class ClientTokens:
    """Hands out the BFF's own tokens.

    Args:
        shared: Where all processes find them.
        grants: Where they are asked for.
        is_dead: Whether APIs refuse a token that has not expired, since everything from before an
            instant was ended.
        provider_timeout_seconds: The total of one attempt.
        refresh_before_seconds: How long before its end a token is renewed.
    """

    def __init__(
        self,
        shared: SharedClientTokens,
        grants: ClientGrant,
        is_dead: Callable[[RouteToken], bool],
        *,
        provider_timeout_seconds: float,
        refresh_before_seconds: int,
    ) -> None:
        self._shared = shared
        self._grants = grants
        self._is_dead = is_dead
        self._before_seconds = refresh_before_seconds
        self._lease_seconds = provider_timeout_seconds + 5
        self._wait_seconds = provider_timeout_seconds + 2
        self._flights: SingleFlight[_Known] = SingleFlight(self._wait_seconds)
        self._known: dict[str, _Known] = {}

    def access_token(self, rule: TokenRule) -> str:
        """The BFF's token for the API that *rule* names.

        Raises:
            RouteTokenRefused: The provider gives none.
            ProviderUnavailable, ProviderMisconfigured, StoreUnavailable: There is none that lives,
                and none can be had at the moment.
        """
        known, now = self._known.get(rule.name), time.monotonic()
        if known is not None and now < known.next_at:
            return known.token.access_token
        if known is not None and now < known.dead_at:
            return self._looked_at(rule, known).token.access_token
        found = self._flights.share(rule.name, lambda: self._obtained(rule))
        return found.token.access_token

    def _looked_at(self, rule: TokenRule, old: _Known) -> _Known:
        """Look or renew if nobody else does; the old token serves meanwhile and afterwards."""
        try:
            found = self._flights.try_alone(rule.name, lambda: self._one_turn(rule))
        except BFFError as error:
            _record("route_token_failed", "failed", f"{error.code}, the old token serves", rule)
            old.next_at = time.monotonic() + REMEMBER_FAILURE_SECONDS
            return old
        if found is None:
            old.next_at = time.monotonic() + POLL_SECONDS[-1]
        return found or old

    def _obtained(self, rule: TokenRule) -> _Known:
        """Find one, ask for one, or wait for the process that does."""
        give_up_at = time.monotonic() + self._wait_seconds
        for attempt in range(1_000_000):
            found = self._one_turn(rule)
            if found is not None:
                return found
            if time.monotonic() >= give_up_at:
                break
            time.sleep(POLL_SECONDS[min(attempt, len(POLL_SECONDS) - 1)])
        raise ProviderUnavailable("another process did not get a client token in time")

    def _one_turn(self, rule: TokenRule) -> _Known | None:
        """The token that there is, or a new one; None while another process asks for it."""
        shared, owner = self._shared.read(rule.name), secrets.token_hex(8)
        while shared is None or not self._is_good(shared):
            seen = shared.attempt if shared else ""
            turn = self._shared.begin(rule.name, seen, owner, self._lease_seconds)
            if turn.kind == "failed":
                raise remembered(turn.failure)
            if turn.kind == "locked":
                return None
            shared = self._asked(rule, owner) if turn.kind == "yours" else turn.shared
            if turn.kind == "yours":
                break
        return self._remember(rule, shared)

    def _is_good(self, shared: SharedClientToken) -> bool:
        window = window_seconds(shared.token, self._before_seconds)
        return shared.left_seconds > window and not self._is_dead(shared.token)

    def _remember(self, rule: TokenRule, shared: SharedClientToken | None) -> _Known:
        assert shared is not None  # noqa: S101 - The loop above ends with one.
        now = time.monotonic()
        window = window_seconds(shared.token, self._before_seconds)
        known = _Known(
            token=shared.token,
            dead_at=now + shared.left_seconds - min(DEAD_MARGIN_SECONDS, window / 2),
            next_at=now + min(LOOK_SECONDS, shared.left_seconds - window),
        )
        self._known[rule.name] = known
        return known

    # ------------------------------------------------------------ with the lock
    def _asked(self, rule: TokenRule, owner: str) -> SharedClientToken:
        began = time.monotonic()
        try:
            token = self._got(rule)
        except BFFError as error:
            self._give_up(rule, owner, error)
            raise
        # Counted from before the request: never longer than the truth.
        left_seconds = token.expires_at - token.issued_at - (time.monotonic() - began)
        try:
            shared = self._shared.keep(rule.name, owner, token, left_seconds)
        except StoreUnavailable:
            # It is paid for; this process uses it, and the others get one of their own later.
            shared = SharedClientToken(token, owner, left_seconds)
        _record("route_token_issued", "ok", "", rule)
        return shared

    def _got(self, rule: TokenRule) -> RouteToken:
        try:
            answer = self._grants.client_token(rule)
        except ProviderRejected as error:
            raise RouteTokenRefused(error.error) from error
        reason = rejection_reason(rule, answer)
        if reason is not None:
            raise RouteTokenRefused(reason)
        return RouteToken(
            name=rule.name,
            access_token=answer.access_token,
            expires_at=answer.expires_at,
            issued_at=answer.issued_at,
            scope=rule.scope if answer.scope is None else answer.scope,
        )

    def _give_up(self, rule: TokenRule, owner: str, error: BFFError) -> None:
        refused = isinstance(error, RouteTokenRefused)
        outcome: audit.Outcome = "refused" if refused else "failed"
        _record("route_token_failed", outcome, f"{error.code}: {error.detail}", rule)
        seconds = REMEMBER_REFUSAL_SECONDS if refused else remember_seconds(error)
        self._shared.fail(rule.name, owner, error.code, seconds)


def _record(event: audit.Event, outcome: audit.Outcome, reason: str, rule: TokenRule) -> None:
    audit.record(event, outcome, reason=reason, rule=rule.name)
