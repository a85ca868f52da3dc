"""Which settings does the demo provider have? Its address, clients, users, lifetimes and dialect.

The defaults are for the demo. `from_mapping` reads the same names from the JSON of `--config`.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

AuthMethod = Literal["client_secret_post", "client_secret_basic", "private_key_jwt"]
AUTH_METHODS: tuple[AuthMethod, ...] = (
    "client_secret_post",
    "client_secret_basic",
    "private_key_jwt",
)
TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105 - a grant type
TOKEN_DIALECTS = ("auth0", "rfc9068")
PAR = ("off", "offered", "required")
REVOCATION_REACHES = ("token", "family", "session")


@dataclass(frozen=True)
class ClientSettings:
    """One application, as registered with the tenant."""

    client_id: str
    client_secret: str = field(default="", repr=False)
    redirect_uris: tuple[str, ...] = ()
    post_logout_redirect_uris: tuple[str, ...] = ()
    backchannel_logout_uri: str | None = None
    token_endpoint_auth_method: AuthMethod = AUTH_METHODS[0]
    public_jwk: Mapping[str, Any] | None = None
    """The public key of a `private_key_jwt` client."""
    resource_policies: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """More APIs for which it may get tokens, and their scopes."""
    more_grant_types: tuple[str, ...] = ()
    """`client_credentials`, token exchange or both, if the client may use them."""

    def __post_init__(self) -> None:
        _require("token_endpoint_auth_method", self.token_endpoint_auth_method, AUTH_METHODS)
        if self.token_endpoint_auth_method == AUTH_METHODS[2]:
            if not self.public_jwk:
                raise ValueError("private_key_jwt needs public_jwk")
        elif not self.client_secret:
            raise ValueError(f"client {self.client_id} needs a client_secret")


@dataclass(frozen=True)
class UserSettings:
    """One user."""

    email: str
    password: str = field(repr=False)
    sub: str
    name: str


DEMO_USER = UserSettings(
    email="demo@example.com",
    password="demo",  # noqa: S106 - the sign-in page shows it
    sub="auth0|demo",
    name="Dana Demo",
)


@dataclass(frozen=True)
class ProviderSettings:
    """All settings of the demo provider."""

    host: str = "127.0.0.1"
    port: int = 8001
    """0: any free port, which is then part of the issuer."""
    public_url: str | None = None
    """Its public address behind a proxy that ends TLS; with a slash at the end."""
    clients: tuple[ClientSettings, ...] = ()
    users: tuple[UserSettings, ...] = (DEMO_USER,)
    audiences: tuple[str, ...] = ("https://api.example.com",)
    """The APIs for which JWT access tokens are issued."""
    access_token_seconds: int = 300
    access_token_dialect: str = TOKEN_DIALECTS[0]
    """`auth0`: typ JWT, azp, no jti; `rfc9068`: typ at+jwt, client_id, jti."""
    id_token_seconds: int = 36_000
    refresh_token_seconds: int = 2_592_000
    """Absolute, from the sign-in; a rotation doesn't extend it."""
    overlap_seconds: float = 5
    """How long the previous refresh token is still accepted; 0: not at all."""
    authorization_code_seconds: int = 60
    sso_session_seconds: int = 259_200
    session_expiry_seconds: int | None = None
    """If set, ID tokens have the claim `session_expiry`, this long after the sign-in."""
    revocation_deletes_grant: bool = False
    """Auth0's toggle: one revocation revokes all refresh tokens of user, client and audience."""
    revocation_reaches: str = "token"
    """Without that toggle: `token` revokes the one presented, `family` all of its sign-in,
    `session` all of the client in the provider's session, as at Keycloak."""
    iss_parameter: bool = False
    """The authorization response has `iss` (RFC 9207); off at Auth0 by default."""
    auth_time_always: bool = True
    """False: `auth_time` only after `max_age` or `prompt=login`, as at Auth0."""
    auth_time_never: bool = False
    """No `auth_time` at all, as at some other providers."""
    par: str = PAR[0]
    """Pushed authorization requests: an add-on at Auth0, so off; `required` accepts no others."""
    par_seconds: int = 30
    """Lifetime of a pushed request until the browser arrives."""
    logout_token_typ: str = "JWT"  # noqa: S105 - a media type
    control_key: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)

    def __post_init__(self) -> None:
        _require("access_token_dialect", self.access_token_dialect, TOKEN_DIALECTS)
        _require("par", self.par, PAR)
        _require("revocation_reaches", self.revocation_reaches, REVOCATION_REACHES)

    @property
    def issuer(self) -> str:
        """The issuer, with Auth0's trailing slash."""
        return self.public_url or f"http://{self.host}:{self.port}/"

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> "ProviderSettings":
        """Read settings from parsed JSON.

        Args:
            values: The fields of this class by name; `clients` and `users` are lists of objects.

        Raises:
            ValueError: A name is unknown or a value is not allowed.
        """
        _refuse_unknown(cls, values)
        known = dict(values)
        if "clients" in known:
            known["clients"] = tuple(_read(ClientSettings, item) for item in known["clients"])
        if "users" in known:
            known["users"] = tuple(_read(UserSettings, item) for item in known["users"])
        if "audiences" in known:
            known["audiences"] = tuple(known["audiences"])
        return cls(**known)


def _read(kind: Any, item: Mapping[str, Any]) -> Any:
    _refuse_unknown(kind, item)
    return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in item.items()})


def _refuse_unknown(kind: Any, values: Mapping[str, Any]) -> None:
    unknown = set(values) - {f.name for f in fields(kind)}
    if unknown:
        raise ValueError(f"unknown in {kind.__name__}: {', '.join(sorted(unknown))}")


def _require(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}")
