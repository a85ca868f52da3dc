"""How is an access token renewed once, however many requests need it?

While the old token is valid, one request renews it and the others use the old one. Once it has
expired they wait for that request, within bounds. Within a process, `SingleFlight` lets one thread
ask for all. Across processes one lock for each session decides which of them asks the provider,
whichever token of the session is renewed, since several may spend the same refresh token. Issued
tokens are written only over the generation that was read; if the session is gone, they are revoked.
A `TokenSource` defines what is requested. docs/architecture/refresh.md lists the failures.
"""

from __future__ import annotations

import secrets

import msgspec

from bff.config import Config
from bff.core import audit
from bff.core.dpop import DPoPKeys, sendable
from bff.core.errors import (
    BFFError,
    IDTokenInvalid,
    ProviderRejected,
    ProviderUnavailable,
    RouteTokenRefused,
    SessionEnded,
    SignInRequired,
)
from bff.core.model import IssuedTokens, RouteToken, Session, Tokens
from bff.store import Stores
from bff.tokens.pending_writes import PendingWrites
from bff.tokens.profile_following import ProfileFollowing
from bff.tokens.renewal_timing import (
    expired_margin_seconds,
    failure_seconds,
    remembered_failure,
    wait_for_lock,
    window_seconds,
)
from bff.tokens.single_flight import SingleFlight
from bff.tokens.token_source import TokenSource


class TokenRenewal:
    """Returns a valid access token of a session, renewing it under the session's lock when needed.

    Args:
        stores: The refresh lock of each session.
        pending_writes: Writes what the provider issued.
        profiles: Keep the profile as the provider has it.
        keys: A token that is bound to none of them is renewed at once, since nobody can use it.
        config: The provider timeout, and how long before its end a token is renewed.
    """

    def __init__(
        self,
        stores: Stores,
        pending_writes: PendingWrites,
        profiles: ProfileFollowing,
        keys: DPoPKeys,
        config: Config,
    ) -> None:
        self._keys = keys
        self._profiles = profiles
        self._lock = stores.refresh_lock
        self._pending_writes = pending_writes
        self._before_seconds = config.refresh_before_seconds
        provider_timeout_seconds = config.provider_timeout_seconds
        # The lock must outlast two attempts at the provider; it is renewed between them.
        self._lock_seconds = 2 * provider_timeout_seconds + 5
        self._wait_seconds = 2 * provider_timeout_seconds + 2
        self._single_flight: SingleFlight[Tokens] = SingleFlight(self._wait_seconds)

    def access_token(self, session: Session, source: TokenSource) -> str:
        """The access token of *source*, renewed first if it expires soon.

        Raises:
            SessionEnded: The session has ended, because the provider refused its refresh token, or
                meanwhile for another reason.
            RouteTokenRefused: The provider issues no token for this route; the session stays.
            ProviderUnavailable: The token has expired and the provider is down; the session stays.
            ProviderMisconfigured: Our registration is wrong; the session stays.
            StoreUnavailable: Redis is down; the session stays.
        """
        token = source.current(session.tokens)
        if token is not None and (not token.jkt or token.jkt in self._keys):
            window = window_seconds(token, self._before_seconds)
            if session.read_at < token.expires_at - window:
                return sendable(token)
            if session.read_at < token.expires_at - expired_margin_seconds(window):
                return self._renewed_if_free(session, source, sendable(token))
        if not source.available(session.tokens):
            raise source.unavailable(session)
        name = f"{session.key} {source.name}"
        tokens = self._single_flight.share(name, lambda: self._renewed(session, source))
        return _access_token(source, tokens)

    # ------------------------------------------------------------ which request renews
    def _renewed_if_free(self, session: Session, source: TokenSource, old: str) -> str:
        """Renew unless another request does; then, or on failure, return the old token."""
        if not source.available(session.tokens):
            return old
        try:
            name = f"{session.key} {source.name}"
            tokens = self._single_flight.try_alone(name, lambda: self._try_once(session, source))
        except SessionEnded:
            raise
        except BFFError as error:
            _record(source.failed, "failed", f"{error.code}, the old token serves", session, source)
            return old
        return old if tokens is None else _access_token(source, tokens)

    def _try_once(self, session: Session, source: TokenSource) -> Tokens | None:
        source.prepare(session)
        return self._try_lock(session, source)[0]

    def _renewed(self, session: Session, source: TokenSource) -> Tokens:
        """Renew, or wait for the process that does."""
        source.prepare(session)
        newest = session

        def try_lock() -> Tokens | None:
            nonlocal newest
            tokens, newest = self._try_lock(newest, source)
            return tokens

        message = "another process did not finish refreshing in time"
        return wait_for_lock(try_lock, self._wait_seconds, message)

    def _try_lock(self, session: Session, source: TokenSource) -> tuple[Tokens | None, Session]:
        """Take the lock, and renew under it.

        Newer tokens may be those of another source, with this one's unchanged; then the lock is
        tried again with their generation.

        Returns:
            Fresh tokens, or None while another process has the lock; and the session as it is now.
        """
        while True:
            attempt = secrets.token_hex(8)
            lock = self._lock.begin_refresh(
                session.key, session.generation, attempt, self._lock_seconds, source.name
            )
            if lock.kind == "yours":
                return self._ask_provider(session, source, attempt), session
            if lock.kind == "gone":
                raise SessionEnded("ended while its token was due")
            if lock.kind == "failed":
                raise remembered_failure(lock.failure)
            if lock.tokens is None:
                return None, session
            session = msgspec.structs.replace(
                session, generation=lock.generation, tokens=lock.tokens
            )
            if self._is_fresh(source.current(lock.tokens), session.read_at):
                return lock.tokens, session

    def _is_fresh(self, token: Tokens | RouteToken | None, now: float) -> bool:
        if token is None or (token.jkt and token.jkt not in self._keys):
            return False
        return now < token.expires_at - window_seconds(token, self._before_seconds)

    # ------------------------------------------------------------ with the lock
    def _ask_provider(self, session: Session, source: TokenSource, attempt: str) -> Tokens | None:
        """Ask the provider and release the lock.

        Returns:
            The session's tokens; None if they have no token of this source, since this lock expired
            and another process wrote its own tokens first.
        """
        try:
            issued = self._requested(session, source, attempt)
        except (ProviderRejected, IDTokenInvalid) as error:
            found = source.on_refusal(session, error)
            if isinstance(found, BFFError):
                self._release_failed(session, source, attempt, found)
                raise found from error
            self._lock.end_refresh(session.key, attempt, name=source.name)
            return found
        except BFFError as error:
            self._release_failed(session, source, attempt, error)
            raise
        return self._store(session, source, attempt, issued)

    def _requested(self, session: Session, source: TokenSource, attempt: str) -> IssuedTokens:
        try:
            return source.request(session)
        except ProviderUnavailable as error:
            # No response after the request was sent: the rotation may have happened. Within the
            # provider's overlap period the same token works once more.
            lock_is_ours = error.maybe_acted and self._lock.renew_lock(
                session.key, attempt, self._lock_seconds
            )
            if not lock_is_ours:
                raise
        return source.request(session)

    def _store(
        self, session: Session, source: TokenSource, attempt: str, issued: IssuedTokens
    ) -> Tokens | None:
        """Write what was issued: pending while Redis is down, revoked if the session is gone."""
        token_write = source.to_write(session, attempt, issued)
        tokens = session.tokens if token_write is None else self._pending_writes.write(token_write)
        if tokens is None:
            raise SessionEnded("ended while its token was being refreshed")
        reason = source.rejection_reason(issued)
        if reason is not None:
            source.reject(session, issued)
            refusal = RouteTokenRefused(reason)
            self._release_failed(session, source, attempt, refusal)
            raise refusal
        if self._lock.renew_lock(session.key, attempt, self._lock_seconds):
            self._profiles.follow(session, issued, is_own=not source.name)
        self._lock.end_refresh(session.key, attempt, name=source.name)
        if source.current(tokens) is None:
            return None
        _record(source.renewed, "ok", "", session, source)
        return tokens

    def _release_failed(
        self, session: Session, source: TokenSource, attempt: str, error: BFFError
    ) -> None:
        """Release the lock, and store the failure for a moment, for the requests that follow."""
        is_refusal = isinstance(error, RouteTokenRefused | SignInRequired)
        outcome: audit.Outcome = "refused" if is_refusal else "failed"
        _record(source.failed, outcome, f"{error.code}: {error.detail}", session, source)
        seconds = failure_seconds(error)
        self._lock.end_refresh(session.key, attempt, error.code, seconds, source.name)


def _access_token(source: TokenSource, tokens: Tokens) -> str:
    token = source.current(tokens)
    if token is None:
        raise ProviderUnavailable("another request left none")
    return sendable(token)


def _record(
    event: audit.Event, outcome: audit.Outcome, reason: str, session: Session, source: TokenSource
) -> None:
    audit.record(
        event, outcome, reason=reason, session_key=session.key, user=session.identity.user,
        rule=source.name or None,
    )  # fmt: skip
