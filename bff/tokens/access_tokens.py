"""Which access token does the upstream of a route get? Only here the token mode decides.

A new mode takes a file beside this one with its `TokenSource`, and a line in `_source`;
docs/how-to-change.md has the whole recipe.
"""

from __future__ import annotations

from contextlib import suppress

from bff.config import Config
from bff.config.route import TokenRule
from bff.core.dpop import DPoPKeys
from bff.core.errors import SignInRequired, StoreUnavailable
from bff.core.model import Session
from bff.provider.token_endpoint import TokenEndpoint
from bff.revocation.revocation import Revocation
from bff.store import Stores
from bff.tokens.audience_token import AudienceTokenSource
from bff.tokens.client_tokens import ClientTokens
from bff.tokens.exchanged_token import ExchangedTokenSource
from bff.tokens.pending_writes import PendingWrites
from bff.tokens.profile_following import ProfileFollowing
from bff.tokens.renewal import TokenRenewal
from bff.tokens.session_token import SessionTokenSource
from bff.tokens.token_source import TokenSource


class AccessTokens:
    """Returns valid access tokens for upstreams.

    Args:
        stores: Sessions, their refresh locks, the deny-list, the BFF's own tokens.
        endpoint: The provider's token endpoint.
        pending_writes: Writes what the provider issued.
        revocation: Ends sessions whose refresh token was refused.
        config: Timeouts, and how long before its end a token is renewed.
    """

    def __init__(
        self,
        stores: Stores,
        endpoint: TokenEndpoint,
        pending_writes: PendingWrites,
        revocation: Revocation,
        config: Config,
    ) -> None:
        keys = DPoPKeys(key.get_secret_value() for key in config.secrets)
        self._deny_list = stores.deny_list
        self._records = stores.records
        self._endpoint = endpoint
        self._pending_writes = pending_writes
        profiles = ProfileFollowing(stores, endpoint, revocation, asks_userinfo=config.userinfo)
        self._renewal = TokenRenewal(stores, pending_writes, profiles, keys, config)
        self._client_tokens = ClientTokens(stores, endpoint, keys, config)
        self._session_token = SessionTokenSource(endpoint, stores, revocation)
        self._sources: dict[str, TokenSource] = {}

    def for_route(self, rule: TokenRule, session: Session) -> str:
        """The access token for a request of *session* on a route with this token rule.

        It is a `BoundToken` if it is bound to a key.

        Raises:
            RouteTokenRefused: The provider issues no token for this route; the session stays.
            SessionEnded, ProviderUnavailable, ProviderMisconfigured, StoreUnavailable: As
                `TokenRenewal.access_token`.
        """
        if rule.mode == "client":
            return self._client_tokens.access_token(rule)
        source = self._sources.get(rule.name)
        if source is None:
            source = self._sources.setdefault(rule.name, self._source(rule))
        try:
            return self._renewal.access_token(session, source)
        except SignInRequired:
            # An app that repeats its requests must not keep the session from expiring.
            with suppress(StoreUnavailable):
                self._records.undo_slide(session)
            raise

    def _source(self, rule: TokenRule) -> TokenSource:
        parts = (rule, self._deny_list, self._endpoint, self._renewal, self._session_token)
        match rule.mode:
            case "audience":
                return AudienceTokenSource(*parts)
            case "exchange":
                return ExchangedTokenSource(*parts, self._pending_writes)
            case _:
                return self._session_token
