"""Where are tokens that the provider gave and Redis hasn't taken yet?

In this process, until they are written or in the outbox: a rotation whose write was lost would
otherwise leave a live refresh token that nobody knows (promise 3). Only a kill in that instant
loses one. The background thread asks again as long as anything is held.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from bff.core import audit
from bff.core.errors import BFFError, StoreUnavailable
from bff.core.model import Tokens
from bff.revocation.revocation import Revocation
from bff.store import SessionRecords
from bff.store.record_results import DONE


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenWrite:
    """What the provider gave for a session, and how it goes into the session's tokens."""

    session_key: str
    generation: int
    attempt: str
    """Names this write, so that one that ran although its answer was lost is recognised."""
    spent: str | None
    """The refresh token that was exchanged for it; None if none was."""
    brought: Tokens
    """What the provider gave, and nothing else: what must die if it finds no place."""
    base: Tokens
    """The session's tokens that it is written over."""
    merged: Callable[[Tokens], Tokens]
    """How it goes together with what the session has."""

    def is_in(self, tokens: Tokens) -> bool:
        """Whether *tokens* have it already."""
        if self.brought.refresh_token is not None:
            return tokens.refresh_token == self.brought.refresh_token
        own = not self.brought.route_tokens and tokens.access_token == self.brought.access_token
        return own or any(token in tokens.route_tokens for token in self.brought.route_tokens)


class PendingWrites:
    """Writes new tokens, or gets them revoked, and keeps at it while Redis is away."""

    def __init__(self, records: SessionRecords, revocation: Revocation) -> None:
        self._records = records
        self._revocation = revocation
        self._held: list[TokenWrite | tuple[Tokens, str]] = []
        self._lock = threading.Lock()

    def settle(self, held: TokenWrite) -> Tokens | None:
        """Write the tokens into their session.

        Returns:
            The session's tokens now: these, or newer ones; None if the session is gone. Tokens that
            found no place have been abandoned to the outbox.

        Raises:
            StoreUnavailable: Redis is away; they are held and written later.
        """
        try:
            return self._settle(held)
        except StoreUnavailable:
            self._hold(held)
            raise

    def abandon(self, tokens: Tokens, reason: str) -> None:
        """Get tokens without a session revoked; held here while Redis is away. Never raises."""
        try:
            self._revocation.abandon(tokens, reason)
        except StoreUnavailable:
            self._hold((tokens, reason))

    def discard(self, refresh_token: str, client_id: str | None) -> None:
        """Get the refresh token of a rejected token response revoked (`RefreshTokenSink`)."""
        tokens = Tokens(
            access_token="", expires_at=0, issued_at=0, refresh_token=refresh_token,
            client_id=client_id,
        )  # fmt: skip
        self.abandon(tokens, "answer_refused")

    def retry(self) -> int:
        """Try everything held once more; returns how much is still held."""
        with self._lock:
            todo, self._held = self._held, []
        for item in todo:
            try:
                if isinstance(item, TokenWrite):
                    self.settle(item)
                else:
                    self.abandon(*item)
            except BFFError as error:
                # `settle` has put it back already; the next round asks again.
                audit.record("revocation_queued", "failed", reason=f"held: {error.code}")
        return len(self._held)

    def _settle(self, held: TokenWrite) -> Tokens | None:
        while True:
            tokens = held.merged(held.base)
            if self._replace(held, tokens) in DONE:
                return tokens
            current = self._records.load(held.session_key, slide=False)
            if current is None:
                self.abandon(held.brought, "refresh_too_late")
                return None
            session = current[0]
            if held.is_in(session.tokens):
                return session.tokens  # Written before, and something was added since.
            if held.spent is not None and session.tokens.refresh_token != held.spent:
                self.abandon(held.brought, "refresh_too_late")
                return session.tokens
            # Something else changed meanwhile: ours goes on top of it.
            held = replace(held, generation=session.generation, base=session.tokens)

    def _replace(self, held: TokenWrite, tokens: Tokens) -> str:
        sealed = self._records.seal_tokens(held.session_key, tokens)
        ask = (held.session_key, held.generation, held.attempt, sealed)
        try:
            return self._records.replace_tokens(*ask)
        except StoreUnavailable:
            # The outcome is unknown, so ask again; the attempt id tells whether it was written.
            return self._records.replace_tokens(*ask)

    def _hold(self, item: TokenWrite | tuple[Tokens, str]) -> None:
        with self._lock:
            self._held.append(item)
