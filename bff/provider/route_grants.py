"""How are the access tokens of routes requested, and which of them must not be used?

By token exchange (RFC 8693; Auth0's On-Behalf-Of and custom exchange, Keycloak) or by client
credentials (RFC 6749, 4.4). The third way is a refresh, which `Provider.refresh` sends with the
parameters from here. `rejection_reason` compares what the provider issued with the rule.
"""

from __future__ import annotations

from bff.config import Config
from bff.config.route import ACCESS_TOKEN_TYPE, TokenRule
from bff.core.errors import TokenResponseUnusable
from bff.core.model import IssuedTokens
from bff.core.unverified_claims import unverified_claims
from bff.provider.endpoints import EndpointClient, TokenRequest
from bff.provider.token_endpoint import RefreshTokenSink
from bff.provider.token_response import is_header_safe, refreshed_tokens_of

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
# Auth0: `online_access` asks for a refresh token that ends with the session.
LOGIN_SCOPES = frozenset(
    {"openid", "profile", "email", "address", "phone", "offline_access", "online_access"}
)
"""A provider may add these unasked (Keycloak: `email profile`); they give no access to an API."""


class RouteGrants:
    """Requests the access tokens of routes.

    Args:
        client: Sends the requests; its settings have the routes.
        sink: Takes a refresh token that came with a response we reject.
    """

    def __init__(self, client: EndpointClient, sink: RefreshTokenSink) -> None:
        config = client.config
        self._client = client
        self._sink = sink
        self._parameter = config.resource_parameter or client.dialect.resource_parameter
        named = _audiences_of_refreshes(config)
        self.session_parameters: dict[str, str] = {}
        """Further parameters of a request for the session's own access token."""
        self.consent_resources: tuple[str, ...] = ()
        """The APIs that an authorization request has to name."""
        # Where an API is a `resource`, the user's consent must cover every API that a refresh may
        # request, and each request then has to name the one it means (RFC 8707, section 2).
        if named and self._parameter == "resource":
            own = config.audience
            self.session_parameters = {"resource": own} if own else {}
            self.consent_resources = tuple(name for name in dict.fromkeys((own, *named)) if name)

    def parameters_for(self, rule: TokenRule) -> dict[str, str]:
        """The audience and scope of *rule*, as parameters of a token request."""
        named = {self._parameter: rule.audience or "", "scope": rule.scope}
        return {name: value for name, value in named.items() if value}

    def exchange(self, access_token: str, rule: TokenRule) -> IssuedTokens:
        """Exchange the user's access token for one of the rule's audience, in one attempt.

        Type and scope are not checked here; see `rejection_reason`.

        Raises:
            ProviderUnavailable: No usable response.
            ProviderRejected: Refused; the code is in `.error`.
            ProviderMisconfigured: `unauthorized_client` and its like.

        Source: RFC 8693, section 2.
        """
        parameters = {
            "grant_type": EXCHANGE,
            "subject_token": access_token,
            "subject_token_type": rule.subject_token_type,
            "requested_token_type": ACCESS_TOKEN_TYPE,
        }
        return self._ask(parameters, rule, any_type=True)

    def client_token(self, rule: TokenRule) -> IssuedTokens:
        """An access token of the BFF's own client, or of the rule's; raises as `exchange`.

        Source: RFC 6749, section 4.4.
        """
        response = self._ask({"grant_type": "client_credentials"}, rule)
        if response.refresh_token is not None:
            # There should be none (RFC 6749, 4.4.3); it would never be used, nor revoked.
            self._sink.discard(response.refresh_token, rule.client_id)
        return response

    def _ask(
        self, parameters: dict[str, str], rule: TokenRule, *, any_type: bool = False
    ) -> IssuedTokens:
        client = self._client
        deadline = client.deadline()
        url = client.discovery.metadata(deadline).token_endpoint
        issued_at = int(client.clock())
        parameters = parameters | self.parameters_for(rule)
        client_id = rule.client_id
        request = TokenRequest(url, client_id, any_type, client.proofs.key(rule))
        try:
            granted = client.grant(request, parameters, deadline)
        except TokenResponseUnusable as error:
            self._discard(error.refresh_tokens, client_id)
            raise
        self._discard(granted.unused_refresh_tokens, client_id)
        return refreshed_tokens_of(granted, issued_at, client.config)

    def _discard(self, refresh_tokens: tuple[str, ...], client_id: str | None) -> None:
        for refresh_token in refresh_tokens:
            self._sink.discard(refresh_token, client_id)


def _audiences_of_refreshes(config: Config) -> tuple[str | None, ...]:
    """The APIs that refresh tokens get access tokens for, each once."""
    rules = (route.token for route in config.routes)
    return tuple(dict.fromkeys(rule.audience for rule in rules if rule.mode == "audience"))


def rejection_reason(rule: TokenRule, response: IssuedTokens) -> str | None:
    """Why *response* must not be used for *rule*; None if it may.

    A token for another API would give this route's upstream access to that API, so a readable
    audience is compared; for an opaque token we trust the provider.
    """
    if rule.mode == "exchange" and response.issued_token_type != ACCESS_TOKEN_TYPE:
        return "wrong_issued_token_type"
    is_usable = response.jkt or response.token_type.lower() == "bearer"
    if not is_usable or not is_header_safe(response.access_token):
        return "wrong_token_type"
    if rule.scope and response.scope is not None and _wider(rule, response.scope):
        return "wider_scope"
    return "wrong_audience" if _is_for_another(rule.audience, response.access_token) else None


def _wider(rule: TokenRule, granted: str) -> bool:
    return not set(granted.split()) <= set(rule.scope.split()) | LOGIN_SCOPES


def _is_for_another(audience: str | None, access_token: str) -> bool:
    """Whether a JWT names other audiences; unverified, but it came from the provider itself."""
    named = unverified_claims(access_token).get("aud")
    if audience is None or named is None:
        return False
    return audience not in (named if isinstance(named, list) else [named])
