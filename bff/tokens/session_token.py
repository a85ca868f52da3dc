"""How does a session's own access token stay alive?

By the session's refresh token, in turns (`turns`). If the provider refuses it, the session ends.
Source: DESIGN, section 6.
"""

from __future__ import annotations

from typing import Protocol

from bff.core import audit
from bff.core.errors import BFFError, IDTokenInvalid, ProviderRejected, SessionEnded
from bff.core.model import IssuedTokens, Session, Tokens
from bff.revocation.revocation import Revocation
from bff.store import DenyList, SessionRecords
from bff.tokens.merge import refreshed
from bff.tokens.pending_writes import PendingWrites, TokenWrite
from bff.tokens.renewal import TokenRenewal
from bff.tokens.token_source import TokenSource


class RefreshingProvider(Protocol):
    """What is needed of the provider."""

    def refresh(self, refresh_token: str, *, subject: str | None = None) -> IssuedTokens:
        """Exchange a refresh token, one attempt; raises ProviderError or IDTokenInvalid."""


class Refresher:
    """Hands out access tokens that live.

    Args:
        turns: Lets one ask for all.
        holding: Keeps what Redis hasn't taken.
        provider: Where refresh tokens are exchanged.
    """

    def __init__(
        self,
        *,
        turns: TokenRenewal,
        holding: PendingWrites,
        provider: RefreshingProvider,
        records: SessionRecords,
        deny_list: DenyList,
        revocation: Revocation,
    ) -> None:
        self._turns = turns
        self._holding = holding
        self._errand = SessionTokenSource(provider, records, deny_list, revocation)

    def access_token(self, session: Session) -> str:
        """The session's access token, renewed first if it ends soon.

        Raises:
            SessionEnded: The provider refuses to go on; the session has ended.
            ProviderUnavailable: The token is dead and the provider is away; the session stays.
            ProviderMisconfigured: Our registration is wrong; the session stays.
            StoreUnavailable: Redis is away; the session stays.
        """
        return self._turns.access_token(session, self._errand)

    def abandon(self, tokens: Tokens, reason: str) -> None:
        """Get tokens revoked that have no session; they are held here while Redis is away."""
        self._holding.abandon(tokens, reason)


class SessionTokenSource(TokenSource):
    """The access token that came with the sign-in, and what it is renewed to."""

    def __init__(
        self,
        provider: RefreshingProvider,
        records: SessionRecords,
        deny_list: DenyList,
        revocation: Revocation,
    ) -> None:
        self._provider = provider
        self._records = records
        self._deny_list = deny_list
        self._revocation = revocation

    def token(self, tokens: Tokens) -> Tokens:
        """The session's tokens themselves hold it."""
        return tokens

    def can_be_had(self, tokens: Tokens) -> bool:
        """Whether there is a refresh token."""
        return tokens.refresh_token is not None

    def impossible(self, session: Session) -> BFFError:
        """Without a refresh token the session ends with its access token."""
        self._revocation.end(session.key, "access_token_expired")
        return SessionEnded("no refresh token")

    def ask(self, session: Session) -> IssuedTokens:
        """Spend the refresh token."""
        refresh_token = session.tokens.refresh_token or ""
        return self._provider.refresh(refresh_token, subject=session.identity.subject)

    def refused(
        self, session: Session, error: ProviderRejected | IDTokenInvalid
    ) -> Tokens | BFFError:
        """The token is refused, or spent on an answer that names another user: no way on."""
        if isinstance(error, ProviderRejected) and error.error != "invalid_grant":
            return error
        return end_by_refusal(session, error, self._records, self._revocation)

    def held(self, session: Session, attempt: str, answer: IssuedTokens) -> TokenWrite:
        """New tokens, perhaps with a new refresh token."""
        brought = Tokens(
            access_token=answer.access_token,
            expires_at=answer.expires_at,
            issued_at=answer.issued_at,
            refresh_token=answer.refresh_token,
        )
        return TokenWrite(
            session_key=session.key,
            generation=session.generation,
            attempt=attempt,
            spent=session.tokens.refresh_token,
            base=session.tokens,
            brought=brought,
            merged=lambda base: refreshed(base, answer, session.read_at, self._deny_list),
        )


def end_by_refusal(
    session: Session, error: BFFError, records: SessionRecords, revocation: Revocation
) -> Tokens:
    """End a session whose refresh token is of no use any more; newer tokens, if it has them.

    Raises:
        SessionEnded: It has ended, now or before.
    """
    audit.record(
        "token_refresh_failed", "refused", reason=error.detail, session_key=session.key,
        user=session.identity.user,
    )  # fmt: skip
    if not revocation.end(session.key, "refresh_refused", generation=session.generation):
        newer = records.load(session.key, slide=False)
        if newer is not None:
            return newer[0].tokens
    raise SessionEnded("the provider refused the refresh token")
