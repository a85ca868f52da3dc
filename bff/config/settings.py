"""Which settings are there, in which unit, with which default?

One field each, with its environment variable and a sentence. What makes a value invalid is in
`validators`; checks between two settings are in `setting_pairs`. What follows from the settings is
in `derived`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, ConfigDict, Field, SecretStr

from bff.config import trace_options, transmitter_settings, validators
from bff.config.setting_pairs import CheckedPairs
from bff.core.device_binding import BINDING_SECONDS_MAX

Seconds = Annotated[int, Field(ge=1)]


class Settings(CheckedPairs):
    """The settings of one BFF. The order of the fields is that of the documented table."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    # ------------------------------------------------------------ the provider
    auth0_domain: validators.Domain | None = Field(None, alias="AUTH0_DOMAIN")
    """`example.eu.auth0.com`, perhaps with a port. This or `OIDC_ISSUER` is required."""
    oidc_issuer: validators.Issuer | None = Field(None, alias="OIDC_ISSUER", validate_default=True)
    """The issuer of any other OpenID provider, exactly as published (a trailing slash counts)."""
    client_id: str = Field(alias="AUTH0_CLIENT_ID")
    """The application's client id. Required."""
    client_auth: Literal[
        "client_secret_post", "client_secret_basic", "private_key_jwt",
        "tls_client_auth", "self_signed_tls_client_auth",
    ] = Field("client_secret_post", alias="AUTH0_CLIENT_AUTH")  # fmt: skip
    """How we authenticate at the provider. Unset, its metadata decides between post and basic."""
    client_secret_file: Path | None = Field(
        None, alias="AUTH0_CLIENT_SECRET_FILE", validate_default=True
    )
    """A file with client secrets, one per line, newest first; read again when it changes."""
    client_secret: SecretStr | None = Field(
        None, alias="AUTH0_CLIENT_SECRET", validate_default=True
    )
    """The client secret, or several, one per line, newest first. Required without a file or key."""
    client_private_key_file: Path | None = Field(
        None, alias="AUTH0_CLIENT_PRIVATE_KEY_FILE", validate_default=True
    )
    """PEM blocks or JWKs with private keys, newest first; read again when it changes."""
    client_certificate_file: Path | None = Field(
        None, alias="AUTH0_CLIENT_CERTIFICATE_FILE", validate_default=True
    )
    """A PEM certificate, with its chain, for the two ways with TLS; its key may be in it, too."""
    par: Literal["auto", "required", "off"] = Field("auto", alias="BFF_PAR")
    """Pushed authorization requests (RFC 9126): if the provider supports them, always, or never."""
    dpop: Literal["off", "auto", "required"] = Field("off", alias="BFF_DPOP")
    """Bind access tokens to a key of ours (RFC 9449): never, if the provider supports it, or
    always ([how](docs/possession.md)). Switch it on when every replica has this version."""
    audience: str | None = Field(None, alias="AUTH0_AUDIENCE")
    """The API's identifier; without it Auth0 issues an opaque access token."""
    scope: validators.Scope = Field("openid profile email offline_access", alias="AUTH0_SCOPE")
    """The scopes of a sign-in: `openid`, and `offline_access` (`online_access`) to refresh."""
    login_parameters: validators.LoginParameters = Field((), alias="BFF_LOGIN_PARAMETERS")
    """More parameters that `/auth/login` passes on, with commas; `name=value` is always sent."""
    userinfo: bool = Field(False, alias="BFF_USERINFO")
    """Ask UserInfo for `BFF_PROFILE_CLAIMS` too, at the sign-in and after each refresh."""
    resource_parameter: Literal["audience", "resource"] | None = Field(
        None, alias="BFF_RESOURCE_PARAMETER"
    )
    """The parameter that names a route's API: `audience` (Auth0's default) or `resource`."""
    federated_logout: bool = Field(False, alias="AUTH0_FEDERATED_LOGOUT")
    """Sign out of the upstream identity provider too (Auth0's `federated`)."""
    id_token_hint: bool = Field(False, alias="BFF_LOGOUT_ID_TOKEN_HINT")
    """Send `id_token_hint` at logout. An ID token then passes through the browser's address bar."""
    id_token_algorithms: validators.Algorithms = Field(
        ("RS256", "PS256", "ES256"), alias="BFF_ID_TOKEN_ALGORITHMS"
    )
    """Signature algorithms accepted for ID tokens, comma-separated; never `none` or HMAC."""
    clock_skew_seconds: Annotated[int, Field(ge=0, le=120)] = Field(
        10, alias="BFF_CLOCK_SKEW_SECONDS"
    )
    """How far the provider's clock may differ from ours, in seconds."""
    accept_iat_for_auth_time: bool = Field(False, alias="BFF_ACCEPT_IAT_FOR_AUTH_TIME")
    """Where `auth_time` is missing after `prompt=login`, take `iat`: a weaker proof of a new
    authentication ([what is possible](docs/logout.md#providers-without-auth_time))."""
    provider_timeout_seconds: Annotated[float, Field(gt=0, le=60)] = Field(
        5.0, alias="BFF_PROVIDER_TIMEOUT_SECONDS"
    )
    """How long one whole call to the provider may take, in seconds."""
    provider_proxy: validators.ProxyURL | None = Field(None, alias="BFF_PROVIDER_PROXY")
    """The HTTP proxy through which the provider is reached, such as `http://proxy.internal:3128`."""
    refresh_before_seconds: Annotated[int, Field(ge=0)] = Field(
        60, alias="BFF_REFRESH_BEFORE_SECONDS"
    )
    """How long before its expiry an access token is renewed; at most a fifth of its lifetime."""
    refresh_token_lifetime_seconds: Seconds = Field(
        30 * 86_400, alias="BFF_REFRESH_TOKEN_LIFETIME_SECONDS"
    )
    """How long a refresh token is valid at the provider: how long its revocation is retried."""

    # ------------------------------------------------------------ this application
    app_base_url: validators.Origin = Field(alias="APP_BASE_URL")
    """Where browsers find this application, such as `https://app.example.com`. Required. A name
    with letters beyond ASCII is used in Punycode, also in the addresses that the provider knows."""
    routes_file: Path | None = Field(None, alias="BFF_ROUTES_FILE")
    """A TOML file with the routes, for more than one upstream ([routes](docs/routes.md))."""
    api_url: validators.UpstreamURL | None = Field(None, alias="BFF_API_URL", validate_default=True)
    """The upstream of `/api/*`, such as `http://api.internal:8080/v1`. This or `BFF_ROUTES_FILE`
    is required."""
    ca_file: validators.CAFile | None = Field(None, alias="BFF_CA_FILE")
    """PEM certificates of the CAs trusted for the provider, the APIs and Redis, instead of the
    public ones."""
    secrets: validators.SealingKeys = Field(alias="AUTH0_SECRET")
    """The sealing keys, comma-separated, newest first, 32 characters or more each. Required."""
    redis_url: validators.RedisURL = Field(SecretStr("redis://localhost:6379/0"), alias="REDIS_URL")
    """Where sessions are stored; also `redis+sentinel://`, `redis+cluster://`; `rediss` for TLS."""
    redis_wait_replicas: Annotated[int, Field(ge=0)] = Field(0, alias="BFF_REDIS_WAIT_REPLICAS")
    """How many replicas must acknowledge a session's end or a watermark before the response."""
    redis_may_lose_data: bool = Field(False, alias="BFF_REDIS_MAY_LOSE_DATA")
    """Serve although Redis may evict keys or has no append-only file: then it forgets logouts."""
    redis_timeout_seconds: Annotated[float, Field(gt=0, le=10)] = Field(
        1.0, alias="BFF_REDIS_TIMEOUT_SECONDS"
    )
    """How long one command to Redis may take, in seconds."""
    redis_prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,32}$")] = Field(
        "bff", alias="BFF_REDIS_PREFIX"
    )
    """The first part of every key in Redis."""
    spa_dir: validators.SPAFolder | None = Field(None, alias="BFF_SPA_DIR")
    """The folder with the built single-page app (`index.html` in it)."""
    csp: validators.HeaderValue | None = Field(None, alias="BFF_CONTENT_SECURITY_POLICY")
    """Replaces the default Content-Security-Policy of pages and files."""
    csp_add: validators.CSPDirectives | None = Field(None, alias="BFF_CSP_ADD")
    """Directives that allow more, such as `img-src https://a.example; font-src data:`."""
    sign_in_error_path: validators.AppPath | None = Field(None, alias="BFF_SIGN_IN_ERROR_PATH")
    """The app's page that tells of failed sign-ins, such as `/sign-in-error`, in place of ours."""
    clear_site_data: bool = Field(True, alias="BFF_CLEAR_SITE_DATA")
    """Whether a logout empties the app's storage in the browser and ends its service workers."""
    profile_claims: validators.CommaSeparated = Field(
        (
            "sub", "name", "given_name", "family_name", "nickname", "preferred_username", "email",
            "email_verified", "picture", "locale", "org_id", "org_name",
        ),
        alias="BFF_PROFILE_CLAIMS",
    )  # fmt: skip
    """The claims that `/auth/profile` shows, comma-separated; a refresh updates them."""

    # ------------------------------------------------------------ the session
    session_idle_seconds: Seconds = Field(86_400, alias="BFF_SESSION_IDLE_SECONDS")
    """A session ends after this time without a request."""
    session_absolute_seconds: Seconds = Field(
        7 * 86_400, alias="BFF_SESSION_ABSOLUTE_SECONDS", validate_default=True
    )
    """A session ends this long after the sign-in in any case."""
    session_persistent: bool = Field(False, alias="BFF_SESSION_PERSISTENT")
    """Whether the cookie outlasts the browser's own session."""

    device_binding: Literal["off", "offer", "require"] = Field("off", alias="BFF_DEVICE_BINDING")
    """Bind sessions to a key of their browser ([device binding](docs/device-binding.md)): never,
    where the browser can, or always; needs https."""
    device_binding_seconds: Annotated[int, Field(ge=10, le=BINDING_SECONDS_MAX)] = Field(
        600, alias="BFF_DEVICE_BINDING_SECONDS"
    )
    """How long a copy of a bound session's cookies works at most, and half a minute; browsers allow
    less than 300 for tests only."""

    session_lease_milliseconds: Annotated[int, Field(ge=0, le=10_000)] = Field(
        250, alias="BFF_SESSION_LEASE_MILLISECONDS"
    )
    """How long a process may trust its session cache, and how long a logout takes at least; 0: no
    cache. [How to change it](docs/architecture/session-cache.md#changing-the-lease)."""
    session_memory_max: Annotated[int, Field(ge=0)] = Field(10_000, alias="BFF_SESSION_MEMORY_MAX")
    """How many sessions a process caches at most, about 5 kB each; 0: none."""
    sessions_per_user_max: Annotated[int, Field(ge=0)] = Field(
        1_000, alias="BFF_SESSIONS_PER_USER_MAX"
    )
    """How many sessions a user may have; a sign-in beyond it ends the oldest. 0: any number."""
    watermark_lifetime_seconds: Seconds = Field(
        366 * 86_400, alias="BFF_WATERMARK_LIFETIME_SECONDS"
    )
    """How long an end of all sessions stays in force; longer than any session at the provider. One
    by `sid` does so for `BFF_SESSION_ABSOLUTE_SECONDS`, a day at least."""

    # ------------------------------------------------------------ the proxy
    upstream_timeout_seconds: Annotated[float, Field(gt=0)] = Field(
        30.0, alias="BFF_UPSTREAM_TIMEOUT_SECONDS"
    )
    """How long an upstream may take to begin its response, in seconds."""
    request_max_bytes: Annotated[int, Field(ge=0)] = Field(
        100 * 1024 * 1024, alias="BFF_REQUEST_MAX_BYTES"
    )
    """The largest request body that an upstream gets, in bytes; 0 for no limit."""
    open_answers_max: Annotated[int, Field(ge=1)] = Field(96, alias="BFF_OPEN_ANSWERS_MAX")
    """How many event streams and long responses a process sends at once; half of them (at least
    48) to one session, and three quarters on one of several routes."""
    upstream_requests_max: Annotated[int, Field(ge=1)] = Field(
        192, alias="BFF_UPSTREAM_REQUESTS_MAX"
    )
    """How many requests of a process wait for upstreams at once; three quarters of them on one of
    several routes, half of one session, and a quarter of a session on one route."""
    require_csrf_header: bool = Field(False, alias="BFF_REQUIRE_CSRF_HEADER")
    """Require `X-CSRF: 1` on every `/api` request; rules out EventSource and download links."""
    require_csrf_on_writes: bool = Field(False, alias="BFF_REQUIRE_CSRF_ON_WRITES")
    """Require `X-CSRF: 1` (or our form's token, at the logout) on all but GET, HEAD and OPTIONS."""
    refuse_typed_addresses: bool = Field(False, alias="BFF_REFUSE_TYPED_ADDRESSES")
    """Refuse `Sec-Fetch-Site: none` (typed addresses, bookmarks) wherever the session is used, and
    at silent sign-ins."""
    trusted_proxies: validators.Networks = Field((), alias="BFF_TRUSTED_PROXIES")
    """Addresses or networks whose `X-Forwarded-For` is trusted, comma-separated."""
    forward_auth_key: validators.Key | None = Field(None, alias="BFF_FORWARD_AUTH_KEY")
    """The key with which such a proxy gets access tokens from `/auth/verify`; off without it."""

    # ------------------------------------------------------------ the machine API
    # Auth0: sends `JWT` instead of `logout+jwt`.
    logout_token_types: validators.CommaSeparated = Field(
        ("logout+jwt", "JWT"), alias="BFF_LOGOUT_TOKEN_TYPES"
    )
    """The accepted `typ` of back-channel logout tokens; Auth0 sends `JWT`."""
    admin_key: validators.Key | None = Field(None, alias="BFF_ADMIN_KEY")
    """A static bearer key for the admin API and for Global Token Revocation."""
    admin_audience: str | None = Field(None, alias="BFF_ADMIN_AUDIENCE")
    """The `aud` of the provider's access tokens that may use the admin API."""
    admin_scope: str | None = Field(None, alias="BFF_ADMIN_SCOPE", validate_default=True)
    """The scope (or Auth0 permission) that such a token needs."""
    log_stream_key: validators.Key | None = Field(None, alias="BFF_LOG_STREAM_KEY")
    """The authorization value of an Auth0 log stream (custom webhook); off without it."""
    ssf_issuer: validators.Issuer | None = Field(None, alias="BFF_SSF_ISSUER")
    """The issuer of a Shared Signals transmitter; off without it."""
    ssf_jwks_url: validators.KeysURL | None = Field(None, alias="BFF_SSF_JWKS_URL")
    """Where that transmitter's keys are; by default, where its metadata says."""
    ssf_audience: str | None = Field(None, alias="BFF_SSF_AUDIENCE")
    """The `aud` of its security event tokens; `APP_BASE_URL` if not set."""
    ssf_token: transmitter_settings.BearerToken | None = Field(None, alias="BFF_SSF_TOKEN")
    """The bearer token with which we poll, and with which `bff signals` manages streams."""
    ssf_poll_url: transmitter_settings.PollURL | None = Field(
        None, alias="BFF_SSF_POLL_URL", validate_default=True
    )
    """Where events are fetched (RFC 8936); `bff signals create` prints it; no polling without."""
    ssf_poll_seconds: Annotated[int, Field(ge=1, le=3600)] = Field(5, alias="BFF_SSF_POLL_SECONDS")
    """How long after the last poll the next one comes, of all processes together."""
    introspection_clients: validators.ClientKeys = Field((), alias="BFF_INTROSPECTION_CLIENTS")
    """APIs that may ask whether a token is revoked, as `id:secret`, comma-separated."""
    device_reauth_seconds: Annotated[int, Field(ge=0)] = Field(
        900, alias="BFF_DEVICE_REAUTH_SECONDS"
    )
    """Ending another device's session needs a sign-in at most this old, in seconds; 0 for any."""
    audit_user: Literal["none", "hash", "id"] = Field("hash", alias="BFF_AUDIT_USER")
    """How the audit log names a user: not at all, by a keyed hash, or by the provider's id."""
    traces: trace_options.TraceOptions = Field((), alias="BFF_TRACES")
    """`on` sends traces by OpenTelemetry ([traces](docs/traces.md)); needs `bff[otel]`."""

    # ------------------------------------------------------------ the logs
    log_format: Literal["text", "json"] = Field("text", alias="BFF_LOG_FORMAT")
    """Log lines for people (`text`), or each as JSON for machines; the audit log is JSON anyway."""
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], BeforeValidator(str.lower)
    ] = Field("info", alias="BFF_LOG_LEVEL")
    """From which level on; the audit log and the response log are complete at any."""
    response_log: bool = Field(False, alias="BFF_RESPONSE_LOG")
    """Write a line for each response ([fields](docs/logs.md#the-response-log))."""
