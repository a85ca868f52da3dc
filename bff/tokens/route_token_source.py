"""What do all tokens of routes have in common?

They are sealed with the session's tokens and denied when it ends. If the provider refuses one, its
route fails and the session stays.
"""

from __future__ import annotations

from bff.config.route import TokenRule
from bff.core.errors import (
    BFFError,
    IDTokenInvalid,
    ProviderRejected,
    RouteTokenRefused,
    SignInRequired,
)
from bff.core.model import IssuedTokens, RouteToken, Session, Tokens
from bff.provider.route_grants import rejection_reason
from bff.provider.token_endpoint import TokenEndpoint
from bff.provider.token_response import INTERACTION
from bff.store import DenyList
from bff.tokens.merge import with_route_token
from bff.tokens.pending_writes import TokenWrite
from bff.tokens.renewal import TokenRenewal
from bff.tokens.session_token import SessionTokenSource
from bff.tokens.token_source import TokenSource


class RouteTokenSource(TokenSource):
    """The token of one rule; each mode adds how it is requested."""

    renewed = "route_token_issued"
    failed = "route_token_failed"

    def __init__(
        self,
        rule: TokenRule,
        deny_list: DenyList,
        endpoint: TokenEndpoint,
        renewal: TokenRenewal,
        session_token: SessionTokenSource,
    ) -> None:
        self.name = rule.name
        self._rule = rule
        self._deny_list = deny_list
        self._endpoint = endpoint
        self._renewal = renewal
        self._session_token = session_token

    def current(self, tokens: Tokens) -> RouteToken | None:
        """The one that was issued by this rule."""
        return tokens.route_token(self.name)

    def rejection_reason(self, issued: IssuedTokens) -> str | None:
        """Wrong type, wrong API, or more scope than was requested."""
        return rejection_reason(self._rule, issued)

    def on_refusal(
        self, session: Session, error: ProviderRejected | IDTokenInvalid
    ) -> Tokens | BFFError:
        """This route gets no token; the session and its other routes go on.

        Not even `invalid_grant` ends the session here, since it may concern this API only. If it
        concerns the refresh token, the next refresh of the session's own token gets it too.
        """
        if isinstance(error, IDTokenInvalid):
            return RouteTokenRefused(error.code)
        if error.error in INTERACTION:
            return SignInRequired(error.detail)
        return RouteTokenRefused(error.error)

    def _route_token(self, issued: IssuedTokens) -> RouteToken:
        return RouteToken(
            name=self.name,
            access_token=issued.access_token,
            expires_at=issued.expires_at,
            issued_at=issued.issued_at,
            # If omitted, it is the requested scope (RFC 6749, 5.1).
            scope=self._rule.scope if issued.scope is None else issued.scope,
            jkt=issued.jkt,
        )

    def _token_write(
        self,
        session: Session,
        attempt: str,
        token: RouteToken | None,
        *,
        spent: str | None = None,
        refreshed_by: IssuedTokens | None = None,
    ) -> TokenWrite:
        refresh_token = refreshed_by.refresh_token if refreshed_by else None
        return TokenWrite(
            session_key=session.key,
            generation=session.generation,
            attempt=attempt,
            spent=spent,
            issued=Tokens.without_session(refresh_token=refresh_token, route_token=token).owned_by(
                session.identity
            ),
            base=session.tokens,
            merged=lambda base: with_route_token(
                base, token, refreshed_by, session.read_at, self._deny_list
            ),
        )
