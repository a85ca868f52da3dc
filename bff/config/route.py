"""What is a route: which upstream has a path under our origin, and what may be asked of it?"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import certifi
from pydantic import SecretStr

DEFAULT_PORTS = {"http": 80, "https": 443}
REPEATABLE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
"""The safe methods (RFC 9110, 9.2.1) without TRACE: sending them twice changes nothing."""
RESERVED_SEGMENTS = frozenset({"auth", "admin", "webhooks", "healthz", "readyz"})
"""The first segments of our own addresses."""
NEVER_FORWARDED_METHODS = frozenset({"TRACE", "CONNECT"})

Origin = tuple[str, str, int]
"""Scheme, host and port."""
ACCESS_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105
"""RFC 8693, section 3."""
TokenMode = Literal["user", "audience", "exchange", "client", "optional", "none"]
DPoPMode = Literal["auto", "required", "never"]


@dataclass(frozen=True, kw_only=True)
class TokenRule:
    """Which access token the upstream of a route gets.

    | mode | the upstream gets |
    |---|---|
    | `user` | the session's access token |
    | `audience` | a token for `audience` and `scope`, from the session's refresh token |
    | `exchange` | a token for which the session's access token is exchanged (RFC 8693) |
    | `client` | our own client-credentials token, shared by all sessions |
    | `optional` | the session's access token if there is a session, else none |
    | `none` | none; no session is needed |
    """

    mode: TokenMode = "user"
    audience: str | None = None
    scope: str = ""
    """Space-separated; empty for the provider's default."""
    client_id: str | None = None
    """For `exchange` and `client`: a client other than the one that signs users in."""
    client_secret: SecretStr | None = None
    client_secret_file: Path | None = None
    """Where that secret is, if it is in a file: read again when it changes."""
    client_secret_variable: str = ""
    """The variable that names the file, for the log."""
    # Auth0: a Custom Token Exchange profile is selected by a type of its own.
    subject_token_type: str = ACCESS_TOKEN_TYPE
    """For `exchange`: the type under which the user's access token is presented."""
    dpop: DPoPMode = "auto"
    """Whether the token must be bound to our key (RFC 9449): if the provider binds it, always, or
    never; `never` only where the route has a token of its own."""

    @property
    def is_of_session(self) -> bool:
        """Whether the upstream gets the session's own access token."""
        return self.mode in ("user", "optional")

    @cached_property
    def name(self) -> str:
        """The name under which a token by this rule is stored; equal rules have equal names."""
        parts = [self.mode, self.client_id or "-", self.audience or "-", self.scope]
        if self.subject_token_type != ACCESS_TOKEN_TYPE:
            parts.insert(1, self.subject_token_type)
        if self.dpop == "never":
            parts.append("bearer")  # Another token than that of a rule which is equal but for it.
        return " ".join(parts).strip()


@dataclass(frozen=True, kw_only=True)
class StepUp:
    """How strong and how recent the sign-in must be for a route (RFC 9470)."""

    acr_values: tuple[str, ...] = ()
    """One of them must be the session's `acr`; most preferred first."""
    max_age_seconds: int | None = None


@dataclass(frozen=True, kw_only=True)
class Route:
    """Everything under one prefix: which upstream, and what may be asked of it.

    The upstream's own path replaces the prefix: with prefix `/api` and upstream
    `http://api:8080/v1`, the target `/api/items?n=1` becomes `/v1/items?n=1`. With
    `strip_prefix=False` it becomes `/v1/api/items?n=1`.
    """

    prefix: str
    """A path without a trailing slash, such as `/api`."""
    upstream_urls: tuple[str, ...]
    """The upstream's addresses: scheme, authority and perhaps a path; no trailing slash, query or
    fragment. They differ in host and port only."""
    strip_prefix: bool = True
    """Whether the upstream gets the path without the prefix."""
    methods: frozenset[str] | None = None
    """The allowed ones; None for all but TRACE and CONNECT."""
    repeatable_methods: frozenset[str] = REPEATABLE_METHODS
    """Which of them may be sent again when a reused connection breaks."""
    idle_seconds: float = 4.0
    """How long a connection may have been idle for a write to use it, unless the upstream says."""
    idle_connections_max: int = 32
    """How many idle connections a process keeps to each address."""
    connect_timeout_seconds: float = 5.0
    """For one attempt to connect; there are two attempts, or one for each address."""
    answer_timeout_seconds: float = 30.0
    """From the last byte sent of the request until the headers of the response are complete."""
    request_max_bytes: int = 0
    """The largest request body; 0 for no limit."""
    request_headers: frozenset[str] | None = None
    """Which of the client's headers pass, in lower case; None for all that are safe."""
    request_cookies: frozenset[str] = frozenset()
    """Which of the client's cookies pass; never ours."""
    answer_cookies: frozenset[str] = frozenset()
    """Which cookies the upstream may set in the browser, for this route's paths."""
    token: TokenRule = TokenRule()
    step_up: StepUp | None = None
    """What the route itself requires; the upstream may require more in its response."""
    forward_auth: bool = True
    """Whether a proxy in front may forward it (`/auth/verify`). If not, only our own proxy does,
    and its streams end with the session."""
    websocket: bool = False
    """Whether a proxy in front may forward WebSockets; our own proxy never does."""
    code: bool = False
    """Whether a page may run the upstream's files as its own scripts, workers and style sheets."""
    dpop_url: str | None = None
    """What the API takes for its own address, for proofs; None for the upstream's."""
    ca_file: str = field(default_factory=certifi.where)
    """PEM certificates of the CAs trusted for an https upstream; no others are."""
    base_path: str = field(init=False)
    """The upstream's path in place of the prefix."""
    origins: tuple[Origin, ...] = field(init=False)
    """Scheme, host and port of each address, in lower case, with the port."""

    def __post_init__(self) -> None:
        path = urlsplit(self.upstream_urls[0]).path.rstrip("/")
        base_path = path if self.strip_prefix else path + self.prefix
        object.__setattr__(self, "base_path", base_path)
        object.__setattr__(self, "origins", tuple(map(origin_of, self.upstream_urls)))

    @cached_property
    def forwarded_prefix(self) -> str:
        """What the upstream must put in front of its own paths to get ours; empty if nothing does.

        With prefix `/api` and an upstream without a path it is `/api`; with `/api/v1` and the
        upstream's own path `/v1`, too; with `/api` and `/v1` there is none.
        """
        prefix, base_path = self.prefix, self.base_path
        if not self.strip_prefix or not prefix.endswith(base_path):
            return ""
        return prefix.removesuffix(base_path)

    def covers(self, path: str) -> bool:
        """Whether *path* is the prefix or lies below it."""
        prefix = self.prefix
        return path.startswith(prefix) and path[len(prefix) : len(prefix) + 1] in ("", "/")


def origin_of(url: str) -> Origin:
    """Scheme, host and port of *url*, in comparable form (RFC 6454, section 4)."""
    parts = urlsplit(url)
    port = parts.port or DEFAULT_PORTS.get(parts.scheme, 0)
    return parts.scheme.lower(), (parts.hostname or "").lower(), port
