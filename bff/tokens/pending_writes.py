"""Where are tokens that the provider has issued and Redis hasn't stored yet?

In this process, until they are written or in the outbox: a rotation whose write was lost would
otherwise leave a valid refresh token that can't be revoked any more (promise 3). Only a kill in
that instant loses one. The background thread retries as long as any write is pending, and before
the process ends the provider is asked to revoke what is left.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from bff.core import audit
from bff.core.errors import BFFError, SealInvalid, StoreUnavailable
from bff.core.model import Identity, Tokens
from bff.provider.token_endpoint import TokenRevoker
from bff.revocation.revocation import Revocation
from bff.store import SessionRecords
from bff.store.record_results import DONE

FINISH_SECONDS = 10.0
"""How long the end of a process waits: half for Redis, half for the provider."""
AGAIN_SECONDS = 0.5

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenWrite:
    """Tokens that the provider issued for a session, and how they are merged into its own."""

    session_key: str
    generation: int
    attempt: str
    """The id of this write, by which it is recognised if it was applied and the reply was lost."""
    spent: str | None
    """The refresh token that the request spent; None if it spent none."""
    issued: Tokens
    """All that the provider issued; it must be revoked if it can't be written."""
    base: Tokens
    """The session's tokens of that generation, which the write replaces."""
    merged: Callable[[Tokens], Tokens]
    """Given the tokens of the session, returns them with the issued ones."""

    def is_in(self, tokens: Tokens) -> bool:
        """Whether *tokens* include what was issued."""
        if self.issued.refresh_token is not None:
            return tokens.refresh_token == self.issued.refresh_token
        own = not self.issued.route_tokens and tokens.access_token == self.issued.access_token
        return own or any(token in tokens.route_tokens for token in self.issued.route_tokens)


class PendingWrites:
    """Writes new tokens, or has them revoked, and retries while Redis is down.

    Args:
        records: Where the tokens are written.
        revocation: Has tokens revoked that came to no session.
        revoker: Revokes without Redis, before the process ends.
    """

    def __init__(
        self, records: SessionRecords, revocation: Revocation, revoker: TokenRevoker
    ) -> None:
        self._records = records
        self._revocation = revocation
        self._revoker = revoker
        self._pending: list[TokenWrite | tuple[Tokens, str]] = []
        self._lock = threading.Lock()
        self._in_retry = threading.Lock()

    def write(self, token_write: TokenWrite) -> Tokens | None:
        """Write the tokens into their session.

        Returns:
            The session's tokens now: with these, or newer ones; None if the session is gone. Tokens
            that did not get into the session are in the outbox then.

        Raises:
            StoreUnavailable: Redis is down; the write is pending and done later.
            SealInvalid: The session's record can't be opened. The tokens are in the outbox, since
                this process can never write them.
        """
        try:
            return self._write(token_write)
        except SealInvalid:
            self.revoke(token_write.issued, "session_unreadable")
            raise
        except Exception:
            self._keep(token_write)
            raise

    def revoke(self, tokens: Tokens, reason: str) -> None:
        """Have tokens without a session revoked; pending until that succeeds. Never raises."""
        try:
            self._revocation.revoke_tokens(tokens, reason)
        except Exception as error:
            if not isinstance(error, StoreUnavailable):
                log.exception("tokens not revoked yet")
            self._keep((tokens, reason))

    def discard(
        self, refresh_token: str, client_id: str | None, owner: Identity | None = None
    ) -> None:
        """Have the refresh token of a rejected token response revoked; never raises."""
        tokens = Tokens.without_session(refresh_token=refresh_token, client_id=client_id)
        self.revoke(tokens.owned_by(owner) if owner else tokens, "answer_refused")

    def retry(self) -> int:
        """Retry everything that is pending; returns how many items still are."""
        with self._in_retry:
            return self._retry()

    def finish(self) -> int:
        """Before the process ends: try Redis once more, and revoke at the provider what it refuses.

        Returns:
            How many refresh tokens are lost; the log reports them. It never raises.
        """
        give_up_at = time.monotonic() + FINISH_SECONDS
        # A retry under way has the tokens; the thread ends with the process.
        if not self._in_retry.acquire(timeout=FINISH_SECONDS):
            log.error("the process ends while it retries to write tokens")
            return 0
        try:
            # A provider, or Redis, that is back after a moment is waited for.
            while self._retry(give_up_at) and not self._revoke_pending(give_up_at):
                if time.monotonic() >= give_up_at - AGAIN_SECONDS:
                    break
                time.sleep(AGAIN_SECONDS)
            with self._lock:
                lost, self._pending = len(self._pending), []
        finally:
            self._in_retry.release()
        if lost:
            log.error("%d sets of tokens could neither be written nor revoked", lost)
            audit.record("revocation_given_up", "failed", reason=f"held at the end: {lost}")
        return lost

    def _revoke_pending(self, give_up_at: float) -> bool:
        """Revoke at the provider what is pending; returns whether that was all."""
        with self._lock:
            todo, self._pending = self._pending, []
        left = [item for item in todo if not self._revoked_directly(_tokens_of(item), give_up_at)]
        with self._lock:
            self._pending += left
        return not left

    def _revoked_directly(self, tokens: Tokens, give_up_at: float) -> bool:
        try:
            for refresh_token in tokens.all_refresh_tokens():
                if time.monotonic() >= give_up_at:
                    return False
                self._revoker.revoke(refresh_token, client_id=tokens.client_id)
                audit.record("token_revoked", "ok", reason="process_ends")
        except Exception as error:
            log.warning("not revoked before the end: %s", type(error).__name__)
            return False
        return True

    def _retry(self, give_up_at: float = float("inf")) -> int:
        with self._lock:
            todo, self._pending = self._pending, []
        for position, item in enumerate(todo):
            if time.monotonic() >= give_up_at - FINISH_SECONDS / 2:
                with self._lock:
                    self._pending.extend(todo[position:])
                break
            try:
                if isinstance(item, TokenWrite):
                    self.write(item)
                else:
                    self.revoke(*item)
            except BFFError as error:
                # `write` has seen to it that the tokens are kept, here or in the outbox.
                audit.record("revocation_queued", "failed", reason=f"held: {error.code}")
            except Exception:
                # `write` has put it back, and those after it must not be lost.
                log.exception("tokens not written yet")
        return len(self._pending)

    def _write(self, token_write: TokenWrite) -> Tokens | None:
        while True:
            tokens = token_write.merged(token_write.base)
            if self._replace(token_write, tokens) in DONE:
                return tokens
            current = self._records.load(token_write.session_key, slide=False)
            if current is None:
                self.revoke(token_write.issued, "refresh_too_late")
                return None
            session = current[0]
            if token_write.is_in(session.tokens):
                return session.tokens  # Written before, and something was added since.
            if token_write.spent not in (None, session.tokens.refresh_token):
                self.revoke(token_write.issued, "refresh_too_late")
                return session.tokens
            # Another write came first, but spent no refresh token: merge into what it wrote.
            token_write = replace(token_write, generation=session.generation, base=session.tokens)

    def _replace(self, token_write: TokenWrite, tokens: Tokens) -> str:
        key = token_write.session_key
        sealed = self._records.seal_tokens(key, tokens)
        arguments = (key, token_write.generation, token_write.attempt, sealed)
        try:
            return self._records.replace_tokens(*arguments)
        except StoreUnavailable:
            # The outcome is unknown, so try again; the attempt's id tells whether it was applied.
            return self._records.replace_tokens(*arguments)

    def _keep(self, item: TokenWrite | tuple[Tokens, str]) -> None:
        with self._lock:
            self._pending.append(item)


def _tokens_of(item: TokenWrite | tuple[Tokens, str]) -> Tokens:
    return item.issued if isinstance(item, TokenWrite) else item[0]
