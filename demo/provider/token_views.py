"""Which endpoints are for programs? Token, revocation, userinfo, discovery, JWKS."""

from collections.abc import Mapping
from typing import Any

from authlib.integrations.flask_oauth2 import ResourceProtector
from authlib.oauth2.rfc6750 import BearerTokenValidator
from authlib.oidc.core import UserInfoEndpoint
from flask import Flask, Response, jsonify, request

from demo.provider.fault_injection import counted
from demo.provider.forgery import changed
from demo.provider.oauth import DemoAuthorizationServer
from demo.provider.records import IssuedToken, User
from demo.provider.second_step import STRONG_ACR
from demo.provider.settings import AUTH_METHODS, TOKEN_EXCHANGE, ProviderSettings
from demo.provider.state import ProviderState

GRANT_TYPES = {
    "authorization_code": "authorization_code",
    "refresh_token": "refresh_token",
    "client_credentials": "client_credentials",
    TOKEN_EXCHANGE: "token_exchange",
}
"""The name under which each is counted."""


def register(app: Flask, state: ProviderState, server: DemoAuthorizationServer) -> None:
    """Add the routes to the application."""
    protector = ResourceProtector()
    protector.register_token_validator(LedgerTokens(state))
    server.register_endpoint(UserInfo(resource_protector=protector))
    _register_token_endpoints(app, state, server)
    _register_public_documents(app, state)


def _register_token_endpoints(
    app: Flask, state: ProviderState, server: DemoAuthorizationServer
) -> None:
    @counted(state, "token")
    def token() -> Response:
        response = server.create_token_response()
        grant = GRANT_TYPES.get(request.form.get("grant_type", ""), "other")
        state.counts.add(f"token.{grant}.{_outcome(response)}")
        return response

    @counted(state, "revoke")
    def revoke() -> Response:
        response = server.create_revocation_response()
        state.counts.add(f"revoke.{_outcome(response)}")
        return response

    @counted(state, "userinfo")
    def userinfo() -> Response:
        response: Response = server.create_endpoint_response("userinfo")
        state.counts.add("userinfo.ok")
        return response

    app.add_url_rule("/oauth/token", view_func=token, methods=["POST"])
    app.add_url_rule("/oauth/revoke", view_func=revoke, methods=["POST"])
    app.add_url_rule("/userinfo", view_func=userinfo, methods=["GET", "POST"])


def _register_public_documents(app: Flask, state: ProviderState) -> None:
    @counted(state, "discovery")
    def discovery() -> Response:
        changes = state.forgeries.discovery_changes()
        return jsonify(changed(discovery_document(state.settings), changes))

    @counted(state, "jwks")
    def jwks() -> Response:
        return jsonify(state.keys.public_jwks())

    app.add_url_rule("/.well-known/openid-configuration", view_func=discovery)
    app.add_url_rule("/.well-known/jwks.json", view_func=jwks)


def discovery_document(settings: ProviderSettings) -> dict[str, Any]:
    """The provider's metadata (OpenID Connect Discovery 1.0, section 3)."""
    issuer = settings.issuer
    document: dict[str, Any] = {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}authorize",
        "token_endpoint": f"{issuer}oauth/token",
        "userinfo_endpoint": f"{issuer}userinfo",
        "jwks_uri": f"{issuer}.well-known/jwks.json",
        "revocation_endpoint": f"{issuer}oauth/revoke",
        "end_session_endpoint": f"{issuer}oidc/logout",
        "backchannel_logout_supported": True,
        "backchannel_logout_session_supported": True,
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": list(GRANT_TYPES),
        "code_challenge_methods_supported": ["S256"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "token_endpoint_auth_methods_supported": list(AUTH_METHODS),
        "token_endpoint_auth_signing_alg_values_supported": ["RS256"],
        "acr_values_supported": [STRONG_ACR],
        "claims_supported": [
            "acr",
            "amr",
            "aud",
            "auth_time",
            "email",
            "exp",
            "iat",
            "iss",
            "name",
            "sid",
        ],
    }
    if settings.par != "off":
        document["pushed_authorization_request_endpoint"] = f"{issuer}oauth/par"
        document["require_pushed_authorization_requests"] = settings.par == "required"
    if settings.iss_parameter:
        document["authorization_response_iss_parameter_supported"] = True
    return document


class LedgerTokens(BearerTokenValidator):  # type: ignore[misc] # Authlib has no types.
    """Finds access tokens for `/userinfo` by value, JWTs of both dialects and opaque ones."""

    def __init__(self, state: ProviderState) -> None:
        super().__init__()
        self._state = state

    def authenticate_token(self, token_string: str) -> IssuedToken | None:
        return self._state.ledger.usable(token_string, "access_token")

    def validate_token(self, token: IssuedToken | None, scopes: Any, request: Any) -> None:
        # The ledger returns active tokens only, so Authlib's is_expired() isn't needed.
        super().validate_token(None if token is None else _Valid(token), scopes, request)


class _Valid:
    """An active token, for Authlib's validator."""

    def __init__(self, token: IssuedToken) -> None:
        self.get_scope = token.get_scope

    def is_expired(self) -> bool:
        return False

    def is_revoked(self) -> bool:
        return False


class UserInfo(UserInfoEndpoint):  # type: ignore[misc] # Authlib has no types.
    """OpenID Connect Core, section 5.3."""

    def generate_user_info(self, user: User, scope: str) -> Mapping[str, Any]:
        return user.claims(scope)


def _outcome(response: Response) -> str:
    if response.status_code == 200:
        return "ok"
    body = response.get_json(silent=True)
    return str(body.get("error", response.status_code)) if isinstance(body, dict) else "error"
