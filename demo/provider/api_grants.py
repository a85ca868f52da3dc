"""How does a client get a token for an API other than that of the sign-in?

Three ways: a refresh that names the API (Auth0's multi-resource refresh tokens; RFC 8707), token
exchange (RFC 8693), client credentials. The APIs and scopes that a client may have are in its
`resource_policies`; a scope that isn't listed is dropped silently, as at Auth0.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from authlib.oauth2.rfc6749 import (
    AccessDeniedError,
    BaseGrant,
    InvalidRequestError,
    OAuth2Error,
    TokenEndpointMixin,
    UnauthorizedClientError,
)

from demo.provider.records import Client, IssuedToken, SignIn, User
from demo.provider.settings import AUTH_METHODS, TOKEN_EXCHANGE, UserSettings

ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - a type


class InvalidTargetError(OAuth2Error):  # type: ignore[misc] # Authlib has no types.
    """RFC 8707, section 2."""

    error = "invalid_target"


def requested_api(form: Mapping[str, str], client: Client) -> tuple[str, str] | None:
    """Return the requested API and the granted scope, or None if no API is requested.

    Raises:
        OAuth2Error: The client may not have tokens for that API.
    """
    name = form.get("audience") or form.get("resource")
    if not name:
        return None
    allowed = client.settings.resource_policies.get(name)
    if allowed is None:
        if form.get("resource"):
            raise InvalidTargetError(description="No such resource.")
        error = AccessDeniedError(description=f"Service not found: {name}")
        error.status_code = 403
        raise error
    requested = form.get("scope", "").split() or allowed
    return name, " ".join(scope for scope in requested if scope in allowed)


class _APIGrant(BaseGrant, TokenEndpointMixin):  # type: ignore[misc] # Authlib has no types.
    """The common part of token exchange and client credentials."""

    TOKEN_ENDPOINT_AUTH_METHODS = list(AUTH_METHODS)

    def validate_token_request(self) -> None:
        client = self.authenticate_token_endpoint_client()
        if not client.check_grant_type(self.GRANT_TYPE):
            grant = f"Grant type '{self.GRANT_TYPE}' not allowed for the client."
            raise UnauthorizedClientError(description=grant)
        self.request.client = client
        requested = requested_api(self.request.form, client)
        if requested is None:
            raise InvalidRequestError("Missing required parameter: audience")
        self.api, self.scope = requested

    def create_token_response(self) -> tuple[int, dict[str, Any], Any]:
        sign_in = replace(
            self.subject(), client=self.client, audience=self.api, scope=self.scope, nonce=None
        )
        token: dict[str, Any] = self.server.mint.bearer_token(sign_in, self.scope) | self.more()
        self.server.mint.record(token, sign_in, None)
        self.server.state.counts.add(f"token.for {self.api}")
        return 200, token, self.TOKEN_RESPONSE_HEADER

    def subject(self) -> SignIn:
        """Return the sign-in whose user is the subject of the token."""
        raise NotImplementedError

    def more(self) -> dict[str, str]:
        """Return more members of the token response."""
        return {}


class TokenExchange(_APIGrant):
    """Exchanges a user's token for one API for a token for another (RFC 8693)."""

    GRANT_TYPE = TOKEN_EXCHANGE

    def subject(self) -> SignIn:
        form = self.request.form
        value = form.get("subject_token", "")
        found: IssuedToken | None = self.server.state.ledger.usable(value, "access_token")
        if found is None or form.get("subject_token_type") != ACCESS_TOKEN:
            raise InvalidRequestError("The subject_token is invalid.")
        if found.sign_in.user.blocked:
            raise InvalidRequestError("user is blocked")
        return found.sign_in

    def more(self) -> dict[str, str]:
        return {"issued_token_type": ACCESS_TOKEN}


class ClientCredentials(_APIGrant):
    """A token whose subject is the client itself (RFC 6749, section 4.4)."""

    GRANT_TYPE = "client_credentials"

    def subject(self) -> SignIn:
        # As Auth0 names it.
        sub = f"{self.client.client_id}@clients"
        user = User(UserSettings(email="", password="", sub=sub, name=""), password="")  # noqa: S106
        return SignIn(
            user=user, client=self.client, scope="", audience=None, sid="", auth_time=0,
            show_auth_time=False, nonce=None, family_id="", refresh_expires_at=0,
        )  # fmt: skip
