"""What does the provider store? Clients, users, sign-ins and every token it issued.

Authlib's grants use these models; none of them does I/O.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_plus

from demo.provider.settings import ClientSettings, UserSettings

LOGIN_SCOPES = ("openid", "profile", "email", "address", "phone", "offline_access")
DEFAULT_SCOPE = "openid profile email"


@dataclass(frozen=True)
class Client:
    """A registered application, as Authlib's `ClientMixin`."""

    settings: ClientSettings

    @property
    def client_id(self) -> str:
        return self.settings.client_id

    @property
    def client_metadata(self) -> Mapping[str, Any]:
        return {"post_logout_redirect_uris": self.settings.post_logout_redirect_uris}

    def get_client_id(self) -> str:
        return self.client_id

    def get_default_redirect_uri(self) -> None:
        """None: the redirect_uri parameter is required, as at Auth0 with several URIs."""

    def get_allowed_scope(self, scope: str | None) -> str:
        return scope or DEFAULT_SCOPE

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri in self.settings.redirect_uris

    def check_client_secret(self, client_secret: str) -> bool:
        """Compare in constant time; the form-encoded value is valid, too (RFC 6749, 2.3.1)."""
        expected = self.settings.client_secret.encode()
        return any(
            secrets.compare_digest(expected, given.encode())
            for given in (client_secret, unquote_plus(client_secret))
        )

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == self.settings.token_endpoint_auth_method

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        usual = ("authorization_code", "refresh_token")
        return grant_type in usual or grant_type in self.settings.more_grant_types


@dataclass
class User:
    """A user; control requests can block them or change the password."""

    settings: UserSettings
    password: str = field(repr=False)
    blocked: bool = False

    @property
    def sub(self) -> str:
        return self.settings.sub

    def check_password(self, password: str) -> bool:
        return secrets.compare_digest(self.password.encode(), password.encode())

    def claims(self, scope: str) -> dict[str, Any]:
        """Return the claims of the scopes (OpenID Connect Core, section 5.4)."""
        scopes = scope.split()
        claims: dict[str, Any] = {"sub": self.sub}
        if "profile" in scopes:
            claims |= {"name": self.settings.name, "nickname": self.settings.email.split("@")[0]}
        if "email" in scopes:
            claims |= {"email": self.settings.email, "email_verified": True}
        return claims


@dataclass
class SSOSession:
    """One browser's session at the provider; `sid` is public, the cookie's value is secret."""

    user: User
    sid: str
    auth_time: int
    expires_at: float
    clients: dict[str, Client] = field(default_factory=dict)
    """The clients with a sign-in in this session: they get logout tokens."""
    acr: str | None = None
    amr: tuple[str, ...] = ()
    """Set by the second step; a password alone sets none, as at Auth0 without MFA."""


@dataclass(frozen=True)
class SignIn:
    """One authorization; the tokens minted from it take their claims from here."""

    user: User
    client: Client
    scope: str
    audience: str | None
    sid: str
    auth_time: int
    show_auth_time: bool
    nonce: str | None
    family_id: str
    refresh_expires_at: float
    acr: str | None = None
    amr: tuple[str, ...] = ()


@dataclass(eq=False)
class IssuedToken:
    """One code, access token, ID token or refresh token, as Authlib's `TokenMixin`."""

    kind: str
    value: str = field(repr=False)
    sign_in: SignIn
    scope: str
    issued_at: float
    expires_at: float
    status: str = "active"
    rotated_at: float | None = None
    parent: "IssuedToken | None" = field(default=None, repr=False)
    superseded: bool = False
    """The successor of this refresh token was exchanged, too."""
    redirect_uri: str | None = None
    code_challenge: str | None = None
    code_challenge_method: str | None = None

    def state(self, now: float) -> str:
        """active, rotated, used (a code), revoked or expired."""
        return "expired" if self.status == "active" and self.expires_at <= now else self.status

    def check_client(self, client: Client) -> bool:
        return self.sign_in.client.client_id == client.client_id

    def get_scope(self) -> str:
        return self.scope

    def get_user(self) -> User:
        return self.sign_in.user

    def get_client(self) -> Client:
        return self.sign_in.client

    def get_redirect_uri(self) -> str | None:
        return self.redirect_uri

    def get_nonce(self) -> str | None:
        return self.sign_in.nonce

    def get_auth_time(self) -> int | None:
        return self.sign_in.auth_time if self.sign_in.show_auth_time else None

    def get_acr(self) -> str | None:
        return self.sign_in.acr

    def get_amr(self) -> list[str]:
        return list(self.sign_in.amr)
