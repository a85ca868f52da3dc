"""Which tokens do routes get that are not the session's own, and how are these asked for?

By token exchange (RFC 8693; Auth0's On-Behalf-Of and custom exchange, Keycloak) and by client
credentials (RFC 6749, 4.4). For the third kind a refresh token is spent, which `oidc.refresh` does;
here is what it says then. What came is held against the rule in `rejection_reason`.
"""

from __future__ import annotations

from bff.config import Config
from bff.config.route import ACCESS_TOKEN_TYPE, TokenRule
from bff.core.errors import TokenResponseUnusable
from bff.core.model import IssuedTokens
from bff.core.unverified_claims import unverified_claims
from bff.provider.endpoints import EndpointClient
from bff.provider.token_endpoint import RefreshTokenSink
from bff.provider.token_response import is_header_safe, refreshed_tokens_of

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
LOGIN_SCOPES = frozenset(
    {"openid", "profile", "email", "address", "phone", "offline_access", "online_access"}
)
"""What a refresh may bring along unasked; it opens nothing at an API."""


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
        named = _audiences_of_users(config)
        self.own: dict[str, str] = {}
        """What a request for the session's own access token has to say."""
        self.resources: tuple[str, ...] = ()
        """What an authorization request has to name."""
        # Where an API is a `resource`, the user's consent must name all that a refresh may ask
        # for, and each request then has to say which one it means (RFC 8707, section 2).
        if named and self._parameter == "resource":
            own = config.audience
            self.own = {"resource": own} if own else {}
            self.resources = tuple(name for name in dict.fromkeys((own, *named)) if name)

    def wanted(self, rule: TokenRule) -> dict[str, str]:
        """How audience and scope of *rule* are said."""
        said = {self._parameter: rule.audience or "", "scope": rule.scope}
        return {name: value for name, value in said.items() if value}

    def exchange(self, access_token: str, rule: TokenRule) -> IssuedTokens:
        """Exchange the user's access token for one of the rule's audience, in one attempt.

        Its type and scope are as the provider said; see `rejection_reason`.

        Raises:
            ProviderUnavailable: No usable answer.
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
        """A token of the BFF itself, or of the rule's client; raises as `exchange`.

        Source: RFC 6749, section 4.4.
        """
        answer = self._ask({"grant_type": "client_credentials"}, rule)
        if answer.refresh_token is not None:
            # RFC 6749, 4.4.3: there should be none. Nobody would ever use it, or revoke it.
            self._sink.discard(answer.refresh_token, rule.client_id)
        return answer

    def _ask(
        self, parameters: dict[str, str], rule: TokenRule, *, any_type: bool = False
    ) -> IssuedTokens:
        client = self._client
        deadline = client.deadline()
        url = client.discovery.metadata(deadline).token_endpoint
        issued_at = int(client.clock())
        parameters = parameters | self.wanted(rule)
        client_id = rule.client_id
        try:
            granted = client.grant(
                url, parameters, deadline, client_id=client_id, any_type=any_type
            )
        except TokenResponseUnusable as error:
            if error.refresh_token is not None:
                self._sink.discard(error.refresh_token, client_id)
            raise
        return refreshed_tokens_of(granted, issued_at, client.config)


def _audiences_of_users(config: Config) -> tuple[str | None, ...]:
    """The APIs that refresh tokens are spent for, each once."""
    rules = (route.token for route in config.routes)
    return tuple(dict.fromkeys(rule.audience for rule in rules if rule.mode == "audience"))


def rejection_reason(rule: TokenRule, answer: IssuedTokens) -> str | None:
    """Why *answer* must not be used for *rule*; None if it may.

    A token for another API would give that one's rights to this route's upstream, so an audience
    that can be read is looked at; what can't be read is the provider's word.
    """
    if rule.mode == "exchange" and answer.issued_token_type != ACCESS_TOKEN_TYPE:
        return "wrong_issued_token_type"
    if answer.token_type.lower() != "bearer" or not is_header_safe(answer.access_token):
        return "wrong_token_type"
    if rule.scope and answer.scope is not None and _wider(rule, answer.scope):
        return "wider_scope"
    return "wrong_audience" if _is_for_another(rule.audience, answer.access_token) else None


def _wider(rule: TokenRule, granted: str) -> bool:
    allowed = set(rule.scope.split())
    if rule.mode == "audience":
        allowed |= LOGIN_SCOPES
    return not set(granted.split()) <= allowed


def _is_for_another(audience: str | None, access_token: str) -> bool:
    """Whether it says that it is not for *audience*; unverified, but from the provider itself."""
    named = unverified_claims(access_token).get("aud")
    if audience is None or named is None:
        return False
    return audience not in (named if isinstance(named, list) else [named])
