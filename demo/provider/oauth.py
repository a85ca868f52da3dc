"""How is Authlib's authorization server set up to respond as Auth0 does?

The library checks first and acts later, so each token and revocation request runs under the
state's lock: of several exchanges of one refresh token at most one succeeds.
"""

from typing import Any

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import InvalidClientError, InvalidGrantError, OAuth2Error
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7523 import JWTBearerClientAssertion
from authlib.oauth2.rfc9207 import IssuerParameter
from flask import Response
from joserfc.jwk import RSAKey

from demo.provider.api_grants import ClientCredentials, TokenExchange
from demo.provider.grants import CodeGrant, RefreshGrant, S256Challenge
from demo.provider.records import Client, IssuedToken
from demo.provider.settings import AUTH_METHODS
from demo.provider.state import ProviderState
from demo.provider.tokens import CodeIDTokens, IDTokens, TokenMint, api_of, sign_in_of


class DemoAuthorizationServer(AuthorizationServer):  # type: ignore[misc] # Authlib has no types.
    """Authlib's server, on the provider's state."""

    def __init__(self, state: ProviderState) -> None:
        super().__init__(query_client=state.client, save_token=self._record)
        self.state = state
        self.mint = TokenMint(state)
        self.register_grant(CodeGrant, [S256Challenge(required=False), CodeIDTokens(state)])
        self.register_grant(RefreshGrant, [IDTokens(state)])
        self.register_grant(TokenExchange)
        self.register_grant(ClientCredentials)
        self.register_endpoint(Revocation)
        self.register_client_auth_method("private_key_jwt", ClientAssertion(state))
        self.issuer_parameter = DemoIssuerParameter(state)
        self.register_extension(self.issuer_parameter)

    def _record(self, token: dict[str, Any], request: Any) -> None:
        self.mint.record(token, sign_in_of(request), request.refresh_token, api_of(request))

    def create_token_response(self, request: Any = None) -> Response:
        with self.state.lock:
            response: Response = super().create_token_response(request)
            return response

    def create_revocation_response(self) -> Response:
        with self.state.lock:
            response: Response = self.create_endpoint_response(Revocation.ENDPOINT_NAME)
            return response

    def handle_error_response(self, request: Any, error: OAuth2Error) -> Response:
        response: Response = super().handle_error_response(request, _as_auth0(request, error))
        return response


def _as_auth0(request: Any, error: OAuth2Error) -> OAuth2Error:
    # Auth0 responds to an invalid grant with 403, to an invalid client with 401 for every method.
    if isinstance(error, InvalidClientError):
        error.status_code = 401
    elif isinstance(error, InvalidGrantError):
        error.status_code = 403
        error.description = _grant_description(request, error.description)
    return error


def _grant_description(request: Any, description: str | None) -> str:
    if description == "user is blocked":
        return description
    if description == "Code challenge failed.":
        return "Failed to verify code verifier"
    if request is not None and request.payload.grant_type == "authorization_code":
        return "Invalid authorization code"
    return "Unknown or invalid refresh token."


class Revocation(RevocationEndpoint):  # type: ignore[misc] # Authlib has no types.
    """RFC 7009. An unknown token is a success; an access token can't be revoked, as at Auth0."""

    CLIENT_AUTH_METHODS = list(AUTH_METHODS)

    def query_token(self, token_string: str, token_type_hint: str | None) -> IssuedToken | None:
        found: IssuedToken | None = self.server.state.ledger.find(token_string, "refresh_token")
        if found is None:
            self.server.state.counts.add("revoke.unknown_token")
        return found

    def revoke_token(self, token: IssuedToken, request: Any) -> None:
        revoked = self.server.state.ledger.revoke(token)
        self.server.state.counts.add(
            "revoke.token_revoked" if revoked else "revoke.token_already_revoked"
        )


class ClientAssertion(JWTBearerClientAssertion):  # type: ignore[misc] # Authlib has no types.
    """`private_key_jwt` (RFC 7523, section 3)."""

    CLIENT_AUTH_METHOD = "private_key_jwt"

    def __init__(self, state: ProviderState) -> None:
        super().__init__(validate_jti=True)
        self._state = state

    def get_audiences(self) -> list[str]:
        issuer = self._state.settings.issuer
        return [issuer, f"{issuer}oauth/token", f"{issuer}oauth/revoke"]

    def validate_jti(self, claims: dict[str, Any], jti: str) -> bool:
        return self._state.ledger.first_use_of_assertion(claims["sub"], jti)

    def resolve_client_public_key(self, client: Client) -> RSAKey:
        jwk = client.settings.public_jwk
        if jwk is None:
            raise InvalidClientError(description="The client has no public key.")
        return RSAKey.import_key(dict(jwk))


class DemoIssuerParameter(IssuerParameter):  # type: ignore[misc] # Authlib has no types.
    """`iss` in the authorization response, if the setting is on (RFC 9207)."""

    def __init__(self, state: ProviderState) -> None:
        self._settings = state.settings

    def get_issuer(self) -> str | None:
        return self._settings.issuer if self._settings.iss_parameter else None
