"""How does a route of the mode `exchange` get its token?

The session's access token is exchanged for one of another API (RFC 8693).
"""

from __future__ import annotations

from bff.config.route import TokenRule
from bff.core.errors import BFFError, RouteTokenRefused
from bff.core.model import IssuedTokens, RouteToken, Session, Tokens
from bff.provider.token_endpoint import TokenEndpoint
from bff.store import DenyList
from bff.tokens.pending_writes import PendingWrites, TokenWrite
from bff.tokens.renewal import TokenRenewal
from bff.tokens.route_token_source import RouteTokenSource
from bff.tokens.session_token import SessionTokenSource


class ExchangedTokenSource(RouteTokenSource):
    """An access token from the session's access token."""

    def __init__(
        self,
        rule: TokenRule,
        deny_list: DenyList,
        endpoint: TokenEndpoint,
        renewal: TokenRenewal,
        session_token: SessionTokenSource,
        pending_writes: PendingWrites,
    ) -> None:
        super().__init__(rule, deny_list, endpoint, renewal, session_token)
        self._pending_writes = pending_writes

    def available(self, tokens: Tokens) -> bool:
        """Always: every session has an access token."""
        return True

    def unavailable(self, session: Session) -> BFFError:
        """Never asked, since it is always available."""
        return RouteTokenRefused()

    def prepare(self, session: Session) -> None:
        """Renew the session's access token, since an expired one can't be exchanged."""
        self._renewal.access_token(session, self._session_token)

    def request(self, session: Session) -> IssuedTokens:
        """Exchange the session's access token."""
        return self._endpoint.exchange(session.tokens.access_token, self._rule)

    def to_write(self, session: Session, attempt: str, issued: IssuedTokens) -> TokenWrite | None:
        """The token, unless it must not be used."""
        if self.rejection_reason(issued):
            return None
        if issued.refresh_token is not None:
            # It wasn't requested, and would outlive the session.
            self._revoke(None, issued.refresh_token)
        return self._token_write(session, attempt, self._route_token(issued))

    def reject(self, session: Session, issued: IssuedTokens) -> None:
        """Deny it at our APIs, and revoke at the provider what may be a refresh token."""
        self._revoke(self._route_token(issued), issued.refresh_token)
        if self.rejection_reason(issued) == "wrong_issued_token_type":
            self._revoke(None, issued.access_token)

    def _revoke(self, token: RouteToken | None, refresh_token: str | None) -> None:
        tokens = Tokens.without_session(
            refresh_token=refresh_token, route_token=token, client_id=self._rule.client_id
        )
        self._pending_writes.revoke(tokens, "answer_refused")
