"""How is a session's own access token renewed?

By the session's refresh token. If the provider refuses it, the session ends.
"""

from __future__ import annotations

from bff.core import audit
from bff.core.errors import BFFError, IDTokenInvalid, ProviderRejected, SessionEnded, SignInRequired
from bff.core.model import IssuedTokens, Session, Tokens
from bff.provider.token_endpoint import TokenEndpoint
from bff.revocation.revocation import Revocation
from bff.store import Stores
from bff.tokens.merge import refreshed
from bff.tokens.pending_writes import TokenWrite
from bff.tokens.token_source import TokenSource

OUR_REQUEST = frozenset(
    {
        "invalid_scope", "invalid_target", "invalid_resource",
        "unsupported_token_type", "invalid_dpop_proof", "use_dpop_nonce",
        "no_credential",
    }
)  # fmt: skip
"""Refusals of what we sent; a sign-in would not change that.

`invalid_request` isn't one: Dex says it of a refresh token that is spent, expired or unknown.
"""


class SessionTokenSource(TokenSource):
    """The access token that the sign-in brought, and its successors."""

    def __init__(self, endpoint: TokenEndpoint, stores: Stores, revocation: Revocation) -> None:
        self._endpoint = endpoint
        self._stores = stores
        self._revocation = revocation

    def current(self, tokens: Tokens) -> Tokens:
        """The session's tokens, which contain it."""
        return tokens

    def available(self, tokens: Tokens) -> bool:
        """Whether there is a refresh token."""
        return tokens.refresh_token is not None

    def unavailable(self, session: Session) -> BFFError:
        """Without a refresh token the session ends with its access token."""
        self._revocation.end(session.key, "access_token_expired")
        return SessionEnded("no refresh token")

    def request(self, session: Session) -> IssuedTokens:
        """Spend the refresh token."""
        refresh_token = session.tokens.refresh_token or ""
        return self._endpoint.refresh(refresh_token, subject=session.identity.subject)

    def on_refusal(
        self, session: Session, error: ProviderRejected | IDTokenInvalid
    ) -> Tokens | BFFError:
        """After `invalid_grant`, or an ID token of another user, the refresh token is useless.

        Any other refusal leaves the session. Unless our request is at fault, the user has to sign
        in again.
        """
        if isinstance(error, IDTokenInvalid) or error.error == "invalid_grant":
            return self.end_session(session, error)
        return error if error.error in OUR_REQUEST else SignInRequired(error.detail)

    def end_session(self, session: Session, error: BFFError) -> Tokens:
        """End a session whose refresh token is useless.

        Returns:
            Newer tokens, if another process has written some meanwhile; the session stays then.

        Raises:
            SessionEnded: It has ended, now or before.
        """
        audit.record(
            "token_refresh_failed", "refused", reason=error.detail, session_key=session.key,
            user=session.identity.user,
        )  # fmt: skip
        reason = "refresh_refused"
        if not self._revocation.end(session.key, reason, generation=session.generation):
            newer = self._stores.records.load(session.key, slide=False)
            if newer is not None:
                return newer[0].tokens
        raise SessionEnded("the provider refused the refresh token")

    def to_write(self, session: Session, attempt: str, issued: IssuedTokens) -> TokenWrite:
        """New tokens, perhaps with a new refresh token."""
        return TokenWrite(
            session_key=session.key,
            generation=session.generation,
            attempt=attempt,
            spent=session.tokens.refresh_token,
            issued=Tokens(
                access_token=issued.access_token,
                expires_at=issued.expires_at,
                issued_at=issued.issued_at,
                refresh_token=issued.refresh_token,
            ).owned_by(session.identity),
            base=session.tokens,
            merged=lambda base: refreshed(base, issued, session.read_at, self._stores.deny_list),
        )
