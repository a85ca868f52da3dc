"""What do the tokens contain? Access tokens in two dialects, refresh tokens, ID tokens."""

from dataclasses import replace
from functools import cached_property
from itertools import count
from typing import Any

from authlib.oidc.core.grants import OpenIDCode
from authlib.oidc.core.grants.code import OpenIDToken
from joserfc.jwk import KeySet, RSAKey

from demo.provider.forgery import forge
from demo.provider.keys import RSA_KEY_BITS
from demo.provider.ledger import new_token_value
from demo.provider.records import Client, IssuedToken, SignIn, User
from demo.provider.settings import TOKEN_DIALECTS
from demo.provider.state import ProviderState

_, RFC9068 = TOKEN_DIALECTS
SERIAL_CLAIM = "https://demo-provider.example/serial"


class TokenMint:
    """Makes and records access and refresh tokens."""

    def __init__(self, state: ProviderState) -> None:
        self._state = state
        self._serial = count(1)

    def bearer_token(self, sign_in: SignIn, scope: str, api: str | None = None) -> dict[str, Any]:
        """Return the token response, without the ID token (RFC 6749, section 5.1).

        The access token is for *api*, or if that is None for the API of the sign-in.
        """
        response: dict[str, Any] = {
            "access_token": self._access_token(_for_api(sign_in, api), scope),
            "token_type": "Bearer",
            "expires_in": self._state.settings.access_token_seconds,
            "scope": scope,
        }
        if "offline_access" in sign_in.scope.split():
            response["refresh_token"] = new_token_value()
        return response

    def record(
        self,
        response: dict[str, Any],
        sign_in: SignIn,
        old: IssuedToken | None,
        api: str | None = None,
    ) -> None:
        """Record the tokens of `bearer_token`; *old* is the parent of the new refresh token."""
        now = self._state.now()
        expires_at = now + self._state.settings.access_token_seconds
        for_api = _for_api(sign_in, api)
        access = ("access_token", response["access_token"], for_api, response["scope"])
        self._state.ledger.record(IssuedToken(*access, now, expires_at))
        if value := response.get("refresh_token"):
            refresh = ("refresh_token", value, sign_in, sign_in.scope)
            self._state.ledger.record(
                IssuedToken(*refresh, now, sign_in.refresh_expires_at, parent=old)
            )

    def _access_token(self, sign_in: SignIn, scope: str) -> str:
        if sign_in.audience is None:
            return new_token_value()
        settings, now = self._state.settings, int(self._state.now())
        claims: dict[str, Any] = {
            "iss": settings.issuer,
            "sub": sign_in.user.sub,
            "aud": self._audience(sign_in.audience, scope),
            "iat": now,
            "exp": now + settings.access_token_seconds,
            "scope": scope,
        }
        if sign_in.acr is not None:
            # How the user signed in, for APIs that require it (RFC 9068, 2.2.1; RFC 9470, 6.1).
            claims |= {
                "acr": sign_in.acr,
                "amr": list(sign_in.amr),
                "auth_time": sign_in.auth_time,
            }
        if settings.access_token_dialect == RFC9068:
            claims |= {"client_id": sign_in.client.client_id, "jti": new_token_value()}
            return self._state.keys.sign(claims, typ="at+jwt")
        # Without a jti, two tokens of one user in one second would be the same string, and
        # denying one session's token would deny the other's. An Auth0 Action can add such a claim.
        claims |= {"azp": sign_in.client.client_id, SERIAL_CLAIM: next(self._serial)}
        return self._state.keys.sign(claims)

    def _audience(self, audience: str, scope: str) -> str | list[str]:
        if "openid" in scope.split():
            return [audience, f"{self._state.settings.issuer}userinfo"]
        return audience


class IDTokens(OpenIDToken):  # type: ignore[misc] # Authlib has no types.
    """Authlib's ID tokens with Auth0's claims; applies the forgeries."""

    def __init__(self, state: ProviderState) -> None:
        self._state = state

    @cached_property
    def _other_key(self) -> RSAKey:
        return RSAKey.generate_key(RSA_KEY_BITS)

    def resolve_client_private_key(self, client: Client) -> KeySet:
        return KeySet([self._state.keys.current])

    def get_encode_header(self, client: Client) -> dict[str, Any]:
        return {"alg": "RS256", "typ": "JWT", "kid": self._state.keys.current.kid}

    def get_compatible_claims(self, request: Any) -> dict[str, Any]:
        settings, now = self._state.settings, int(self._state.now())
        sign_in = sign_in_of(request)
        claims: dict[str, Any] = {
            "iss": settings.issuer,
            "aud": sign_in.client.client_id,
            "iat": now,
            "exp": now + settings.id_token_seconds,
            "sid": sign_in.sid,
        }
        if sign_in.show_auth_time:
            claims["auth_time"] = sign_in.auth_time
        if settings.session_expiry_seconds is not None:
            claims["session_expiry"] = sign_in.auth_time + settings.session_expiry_seconds
        return claims

    def generate_user_info(self, user: User, scope: str) -> dict[str, Any]:
        return user.claims(scope)

    def encode_id_token(self, token: dict[str, Any], request: Any) -> str:
        original: str = super().encode_id_token(token, request)
        forgery = self._state.forgeries.take_id_token()
        if forgery is None:
            return original
        if forgery.omit:
            return ""
        return forge(original, forgery, self._state.keys.current, self._other_key)

    def process_token(self, grant: Any, response: Any) -> dict[str, Any]:
        token: dict[str, Any] = super().process_token(grant, response)
        if not token.get("id_token"):
            token.pop("id_token", None)
            return token
        now, sign_in = self._state.now(), sign_in_of(grant.request)
        id_token = ("id_token", token["id_token"], sign_in, token["scope"])
        expires_at = now + self._state.settings.id_token_seconds
        self._state.ledger.record(IssuedToken(*id_token, now, expires_at))
        return token


class CodeIDTokens(IDTokens, OpenIDCode):  # type: ignore[misc] # Authlib has no types.
    """The same for the code grant, where Authlib also checks `nonce` and `prompt`."""

    def __init__(self, state: ProviderState) -> None:
        super().__init__(state)
        self.require_nonce = False

    def exists_nonce(self, nonce: str, request: Any) -> bool:
        return False


def api_of(request: Any) -> str | None:
    """The other API that a refresh requested, if any."""
    api: str | None = getattr(request, "api", None)
    return api


def _for_api(sign_in: SignIn, api: str | None) -> SignIn:
    return sign_in if api is None else replace(sign_in, audience=api)


def sign_in_of(request: Any) -> SignIn:
    """The sign-in behind a token request: that of its code or of its refresh token."""
    source: IssuedToken = request.authorization_code or request.refresh_token
    return source.sign_in
