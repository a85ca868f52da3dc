"""How are a code and a refresh token exchanged? Authlib's grants with the ledger behind them."""

from typing import Any
from uuid import uuid4

from authlib.oauth2.rfc6749 import InvalidGrantError, grants
from authlib.oauth2.rfc7636 import CodeChallenge

from demo.provider.api_grants import requested_api
from demo.provider.records import LOGIN_SCOPES, Client, IssuedToken, SignIn, SSOSession, User
from demo.provider.settings import AUTH_METHODS
from demo.provider.tokens import api_of, sign_in_of


class S256Challenge(CodeChallenge):  # type: ignore[misc] # Authlib has no types.
    """PKCE with S256 only (RFC 7636; RFC 9700, section 2.1.1)."""

    DEFAULT_CODE_CHALLENGE_METHOD = "S256"
    SUPPORTED_CODE_CHALLENGE_METHOD = ["S256"]


class MintedTokens:
    """The common part of both grants: tokens are minted from the sign-in of the request."""

    TOKEN_ENDPOINT_AUTH_METHODS = list(AUTH_METHODS)
    request: Any
    server: Any

    def generate_token(self, scope: str | None = None, **_: object) -> dict[str, Any]:
        sign_in = sign_in_of(self.request)
        scope = sign_in.scope if scope is None else scope
        token: dict[str, Any] = self.server.mint.bearer_token(sign_in, scope, api_of(self.request))
        return token


class CodeGrant(MintedTokens, grants.AuthorizationCodeGrant):  # type: ignore[misc]
    """Authorization code, single use (RFC 6749, section 4.1). The user is an SSO session."""

    def save_authorization_code(self, code: str, request: Any) -> None:
        state, session = self.server.state, request.user
        now = state.now()
        sign_in = self._sign_in(request, session, now)
        state.sso.add_client(session, request.client)
        state.ledger.record(
            IssuedToken(
                "code",
                code,
                sign_in,
                sign_in.scope,
                now,
                now + state.settings.authorization_code_seconds,
                redirect_uri=request.payload.redirect_uri,
                code_challenge=request.payload.data.get("code_challenge"),
                code_challenge_method=request.payload.data.get("code_challenge_method"),
            )
        )

    def _sign_in(self, request: Any, session: SSOSession, now: float) -> SignIn:
        settings, parameters = self.server.state.settings, request.payload.data
        audience = parameters.get("audience") or parameters.get("resource") or None
        return SignIn(
            user=session.user,
            client=request.client,
            scope=granted_scope(request.scope, audience),
            audience=audience,
            sid=session.sid,
            auth_time=session.auth_time,
            show_auth_time=not settings.auth_time_never
            and (settings.auth_time_always or wants_auth_time(parameters)),
            nonce=parameters.get("nonce"),
            family_id=uuid4().hex,
            refresh_expires_at=now + settings.refresh_token_seconds,
            acr=session.acr,
            amr=session.amr,
        )

    def query_authorization_code(self, code: str, client: Client) -> IssuedToken | None:
        found: IssuedToken | None = self.server.state.ledger.spend_code(code, client)
        return found

    def delete_authorization_code(self, authorization_code: IssuedToken) -> None:
        self.server.state.ledger.mark_used(authorization_code)

    def authenticate_user(self, authorization_code: IssuedToken) -> User | None:
        return _unblocked(authorization_code.sign_in.user)


class RefreshGrant(MintedTokens, grants.RefreshTokenGrant):  # type: ignore[misc]
    """Refresh with rotation (RFC 6749, section 6; RFC 9700, section 4.14)."""

    INCLUDE_NEW_REFRESH_TOKEN = True

    def authenticate_refresh_token(self, refresh_token: str) -> IssuedToken | None:
        ledger, client = self.server.state.ledger, self.request.client
        found: IssuedToken | None = ledger.spend_refresh_token(refresh_token, client)
        return found

    def _validate_token_scope(self, token: IssuedToken) -> None:
        form = self.request.form
        own = (form.get("audience") or form.get("resource")) == token.sign_in.audience
        api_and_scope = None if own else requested_api(form, self.request.client)
        if api_and_scope is None:
            super()._validate_token_scope(token)
        else:
            # The scope of the sign-in limits the login scopes, not those of the other API.
            self.request.api, granted = api_and_scope
            wanted = (self.request.payload.scope or "").split()
            of_login = [s for s in wanted if s in LOGIN_SCOPES and s in token.scope.split()]
            self.request.api_scope = " ".join([*of_login, *granted.split()])

    def issue_token(self, user: User, refresh_token: IssuedToken) -> dict[str, Any]:
        api = api_of(self.request)
        if api is None:
            token: dict[str, Any] = super().issue_token(user, refresh_token)
            return token
        self.server.state.counts.add(f"token.for {api}")
        return self.generate_token(self.request.api_scope)

    def authenticate_user(self, refresh_token: IssuedToken) -> User:
        user = _unblocked(refresh_token.sign_in.user)
        if user is None:
            raise InvalidGrantError("user is blocked")
        return user

    def revoke_old_credential(self, refresh_token: IssuedToken) -> None:
        self.server.state.ledger.mark_rotated(refresh_token)


def granted_scope(scope: str, audience: str | None) -> str:
    """Without an audience only the login scopes are granted."""
    if audience is not None:
        return scope
    return " ".join(part for part in scope.split() if part in LOGIN_SCOPES)


def wants_auth_time(parameters: Any) -> bool:
    return "max_age" in parameters or "login" in parameters.get("prompt", "").split()


def _unblocked(user: User) -> User | None:
    return None if user.blocked else user
