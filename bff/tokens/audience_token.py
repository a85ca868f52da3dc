"""How does a route of the mode `audience` get its token?

The session's refresh token is spent on an access token for another API: Auth0's multi-resource
refresh tokens, or `resource` (RFC 8707, section 2.2).
"""

from __future__ import annotations

from bff.core.errors import BFFError, IDTokenInvalid, ProviderRejected, RouteTokenRefused
from bff.core.model import IssuedTokens, Session, Tokens
from bff.tokens.pending_writes import TokenWrite
from bff.tokens.route_token_source import RouteTokenSource


class AudienceTokenSource(RouteTokenSource):
    """An access token from the session's refresh token."""

    def available(self, tokens: Tokens) -> bool:
        """Whether there is a refresh token."""
        return tokens.refresh_token is not None

    def unavailable(self, session: Session) -> BFFError:
        """A session without a refresh token ends with its own access token."""
        self._renewal.access_token(session, self._session_token)
        return RouteTokenRefused("the session has no refresh token")

    def request(self, session: Session) -> IssuedTokens:
        """Spend the refresh token."""
        refresh_token = session.tokens.refresh_token or ""
        subject = session.identity.subject
        return self._endpoint.refresh(refresh_token, subject=subject, rule=self._rule)

    def on_refusal(
        self, session: Session, error: ProviderRejected | IDTokenInvalid
    ) -> Tokens | BFFError:
        """As for every route, but after an ID token of another user the session ends."""
        if isinstance(error, IDTokenInvalid):
            return self._session_token.end_session(session, error)
        return super().on_refusal(session, error)

    def to_write(self, session: Session, attempt: str, issued: IssuedTokens) -> TokenWrite | None:
        """The token, unless it must not be used; a new refresh token in any case."""
        token = None if self.rejection_reason(issued) else self._route_token(issued)
        if token is None and issued.refresh_token is None:
            return None
        return self._token_write(
            session, attempt, token,
            spent=session.tokens.refresh_token, refreshed_by=issued,
        )  # fmt: skip

    def reject(self, session: Session, issued: IssuedTokens) -> None:
        """Deny the access token, unless the session uses it: a provider may return one twice."""
        tokens = session.tokens
        in_use = {tokens.access_token, *(token.access_token for token in tokens.route_tokens)}
        if issued.access_token not in in_use:
            self._deny_list.add([self._deny_list.entry(self._route_token(issued))])
