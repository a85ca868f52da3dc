"""Where are tokens that the provider gave and Redis hasn't taken yet?

In this process, until they are written or in the outbox: a rotation whose write was lost would
otherwise leave a live refresh token that nobody knows (promise 3). Only a kill in that instant
loses one. The background thread asks again as long as anything is held.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace

import msgspec

from bff import audit
from bff.errors import BFFError, StoreUnavailable
from bff.model import Tokens
from bff.revocation import Revocation
from bff.store import Records
from bff.store.records import DONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """New tokens of a session, and what they were made from."""

    session_key: str
    generation: int
    attempt: str
    """Names this write, so that one that ran although its answer was lost is recognised."""
    spent: str | None
    """The refresh token that was exchanged for `tokens`."""
    tokens: Tokens


class Holding:
    """Writes new tokens, or gets them revoked, and keeps at it while Redis is away."""

    def __init__(self, records: Records, revocation: Revocation) -> None:
        self._records = records
        self._revocation = revocation
        self._held: list[Held | tuple[Tokens, str]] = []
        self._lock = threading.Lock()

    def settle(self, held: Held) -> Tokens | None:
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

    def retry(self) -> int:
        """Try everything held once more; returns how much is still held."""
        with self._lock:
            todo, self._held = self._held, []
        for item in todo:
            try:
                if isinstance(item, Held):
                    self.settle(item)
                else:
                    self.abandon(*item)
            except BFFError as error:
                # `settle` has put it back already; the next round asks again.
                audit.record("revocation_queued", "failed", reason=f"held: {error.code}")
        return len(self._held)

    def _settle(self, held: Held) -> Tokens | None:
        while True:
            outcome = self._replace(held)
            if outcome in DONE:
                return held.tokens
            current = self._records.load(held.session_key, slide=False)
            if current is None:
                self._abandon_new(held)
                return None
            session = current[0]
            if session.tokens.access_token == held.tokens.access_token:
                return session.tokens  # Written before, and something was added since.
            if session.tokens.refresh_token != held.spent:
                self._abandon_new(held)
                return session.tokens
            # Only the tokens to be kept changed meanwhile: ours go on top of them.
            tokens = msgspec.structs.replace(
                held.tokens, kept_refresh_tokens=session.tokens.kept_refresh_tokens
            )
            held = replace(held, generation=session.generation, tokens=tokens)

    def _replace(self, held: Held) -> str:
        sealed = self._records.seal_tokens(held.session_key, held.tokens)
        ask = (held.session_key, held.generation, held.attempt, sealed)
        try:
            return self._records.replace_tokens(*ask)
        except StoreUnavailable:
            # The outcome is unknown, so ask again; the attempt id tells whether it was written.
            return self._records.replace_tokens(*ask)

    def _abandon_new(self, held: Held) -> None:
        """Revoke what this refresh brought; the rest is the tombstone's or the newer record's."""
        new = msgspec.structs.replace(held.tokens, kept_refresh_tokens=(), replaced=())
        self.abandon(new, "refresh_too_late")

    def _hold(self, item: Held | tuple[Tokens, str]) -> None:
        with self._lock:
            self._held.append(item)
