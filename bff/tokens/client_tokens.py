"""Which access token does the BFF itself have for an API (mode `client`), and how is it renewed?

One token serves all sessions and all replicas, since providers charge for each. Every process
caches it and compares it with Redis now and then. Before it expires one process requests the next;
the others use the old one meanwhile.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass

from bff.config import Config
from bff.config.route import TokenRule
from bff.core import audit
from bff.core.dpop import DPoPKeys, sendable
from bff.core.errors import BFFError, ProviderRejected, RouteTokenRefused, StoreUnavailable
from bff.core.model import RouteToken
from bff.core.unverified_claims import unverified_claims
from bff.provider.route_grants import rejection_reason
from bff.provider.token_endpoint import TokenEndpoint
from bff.store import Stores
from bff.store.client_tokens import SharedClientToken
from bff.tokens.renewal_timing import (
    POLL_SECONDS,
    REMEMBER_FAILURE_SECONDS,
    expired_margin_seconds,
    failure_seconds,
    remembered_failure,
    wait_for_lock,
    window_seconds,
)
from bff.tokens.single_flight import SingleFlight

LOOK_SECONDS = 10.0
"""How often a process checks whether its cached token is still the one in Redis."""


@dataclass(slots=True)
class _Cached:
    """The token of a rule in this process; instants are of its monotonic clock."""

    token: RouteToken
    expired_at: float
    next_at: float
    """When the token has to be looked up or renewed again."""


class ClientTokens:
    """Returns the BFF's own access tokens.

    Args:
        stores: The tokens that all processes share, and which tokens are revoked.
        endpoint: The provider's token endpoint.
        keys: A token that is bound to none of them is of no use.
        config: Issuer, client id, timeouts, and how long before its end a token is renewed.
    """

    def __init__(
        self, stores: Stores, endpoint: TokenEndpoint, keys: DPoPKeys, config: Config
    ) -> None:
        self._keys = keys
        self._shared = stores.client_tokens
        self._revoked_tokens = stores.revoked_tokens
        self._endpoint = endpoint
        self._config = config
        self._before_seconds = config.refresh_before_seconds
        self._lock_seconds = config.provider_timeout_seconds + 5
        self._wait_seconds = config.provider_timeout_seconds + 2
        self._single_flight: SingleFlight[_Cached] = SingleFlight(self._wait_seconds)
        self._cache: dict[str, _Cached] = {}

    def access_token(self, rule: TokenRule) -> str:
        """The BFF's token for the API that *rule* names.

        Raises:
            RouteTokenRefused: The provider issues no such token.
            ProviderUnavailable, ProviderMisconfigured, StoreUnavailable: There is no valid token,
                and none can be obtained at the moment.
        """
        cached, now = self._cache.get(rule.name), time.monotonic()
        if cached is not None and now < cached.next_at:
            return sendable(cached.token)
        if cached is not None and now < cached.expired_at:
            return sendable(self._renewed_if_free(rule, cached).token)
        found = self._single_flight.share(rule.name, lambda: self._renewed(rule))
        return sendable(found.token)

    def _renewed_if_free(self, rule: TokenRule, old: _Cached) -> _Cached:
        """Look up or renew, unless another thread does; then, or on failure, keep the old token."""
        try:
            found = self._single_flight.try_alone(rule.name, lambda: self._try_lock(rule))
        except BFFError as error:
            _record("route_token_failed", "failed", f"{error.code}, the old token serves", rule)
            old.next_at = time.monotonic() + REMEMBER_FAILURE_SECONDS
            return old
        if found is None:
            old.next_at = time.monotonic() + POLL_SECONDS[-1]
        return found or old

    def _renewed(self, rule: TokenRule) -> _Cached:
        """Look up, renew, or wait for the process that renews."""
        message = "another process did not get a client token in time"
        return wait_for_lock(lambda: self._try_lock(rule), self._wait_seconds, message)

    def _try_lock(self, rule: TokenRule) -> _Cached | None:
        """The stored token, or a new one; None while another process requests it."""
        shared, attempt = self._shared.read(rule.name), secrets.token_hex(8)
        while shared is None or not self._is_fresh(shared):
            seen = shared.attempt if shared else ""
            lock = self._shared.begin(rule.name, seen, attempt, self._lock_seconds)
            if lock.kind == "failed":
                raise remembered_failure(lock.failure)
            if lock.kind == "locked":
                return None
            if lock.kind == "yours":
                return self._cached(rule, self._requested(rule, attempt))
            shared = lock.shared
        return self._cached(rule, shared)

    def _is_fresh(self, shared: SharedClientToken) -> bool:
        window = window_seconds(shared.token, self._before_seconds)
        if (jkt := shared.token.jkt) and jkt not in self._keys:
            return False
        return shared.left_seconds > window and not self._is_revoked(shared.token)

    def _is_revoked(self, token: RouteToken) -> bool:
        """Whether APIs refuse a token before it expires, since all sessions were ended after it."""
        issued_at = unverified_claims(token.access_token).get("iat", token.issued_at)
        claims = {"iss": self._config.issuer, "sub": self._config.client_id, "iat": issued_at}
        return self._revoked_tokens.reason(token.access_token, claims) is not None

    def _cached(self, rule: TokenRule, shared: SharedClientToken) -> _Cached:
        now = time.monotonic()
        window = window_seconds(shared.token, self._before_seconds)
        cached = _Cached(
            token=shared.token,
            expired_at=now + shared.left_seconds - expired_margin_seconds(window),
            next_at=now + min(LOOK_SECONDS, shared.left_seconds - window),
        )
        self._cache[rule.name] = cached
        return cached

    # ------------------------------------------------------------ with the lock
    def _requested(self, rule: TokenRule, attempt: str) -> SharedClientToken:
        began = time.monotonic()
        try:
            token = self._issued(rule)
        except BFFError as error:
            self._release_failed(rule, attempt, error)
            raise
        # Measured from before the request, so it is never too long.
        left_seconds = token.expires_at - token.issued_at - (time.monotonic() - began)
        try:
            shared = self._shared.keep(rule.name, attempt, token, left_seconds)
        except StoreUnavailable:
            # This process uses it all the same; another one will request its own.
            shared = SharedClientToken(token, attempt, left_seconds)
        _record("route_token_issued", "ok", "", rule)
        return shared

    def _issued(self, rule: TokenRule) -> RouteToken:
        try:
            issued = self._endpoint.client_token(rule)
        except ProviderRejected as error:
            raise RouteTokenRefused(error.error) from error
        reason = rejection_reason(rule, issued)
        if reason is not None:
            raise RouteTokenRefused(reason)
        return RouteToken(
            name=rule.name,
            access_token=issued.access_token,
            expires_at=issued.expires_at,
            issued_at=issued.issued_at,
            scope=rule.scope if issued.scope is None else issued.scope,
            jkt=issued.jkt,
        )

    def _release_failed(self, rule: TokenRule, attempt: str, error: BFFError) -> None:
        """Release the lock, and store the failure for a moment, for the requests that follow."""
        outcome: audit.Outcome = "refused" if isinstance(error, RouteTokenRefused) else "failed"
        _record("route_token_failed", outcome, f"{error.code}: {error.detail}", rule)
        self._shared.fail(rule.name, attempt, error.code, failure_seconds(error))


def _record(event: audit.Event, outcome: audit.Outcome, reason: str, rule: TokenRule) -> None:
    audit.record(event, outcome, reason=reason, rule=rule.name)
