"""Where does a path under our origin go, and what may be done there? Data only."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal
from urllib.parse import urlsplit

import certifi
from pydantic import SecretStr

DEFAULT_PORTS = {"http": 80, "https": 443}
REPEATABLE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
"""Safe methods (RFC 9110, 9.2.1) less TRACE: asking twice changes nothing."""
NEVER_FORWARDED_METHODS = frozenset({"TRACE", "CONNECT"})

Origin = tuple[str, str, int]
"""Scheme, host and port."""
ACCESS_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105
"""RFC 8693, section 3."""
TokenMode = Literal["user", "audience", "exchange", "client", "optional", "none"]


@dataclass(frozen=True, kw_only=True)
class TokenRule:
    """Which access token a route's upstream gets.

    | mode | the upstream gets |
    |---|---|
    | `user` | the session's access token |
    | `audience` | a token for `audience` and `scope`, from the session's refresh token |
    | `exchange` | what the session's access token is exchanged for (RFC 8693) |
    | `client` | a client-credentials token of ours, shared by all sessions |
    | `optional` | the user's token if there is a session, else nothing |
    | `none` | nothing, also for anonymous callers |
    """

    mode: TokenMode = "user"
    audience: str | None = None
    scope: str = ""
    """Blank-separated; empty for what the provider gives by itself."""
    client_id: str | None = None
    """For `exchange` and `client`: another client than the one that signs people in."""
    client_secret: SecretStr | None = None
    subject_token_type: str = ACCESS_TOKEN_TYPE
    """For `exchange`: as what the user's access token is presented. Auth0's custom exchange wants
    a name of one's own here."""

    @cached_property
    def name(self) -> str:
        """What a token made by this rule is kept under; equal rules share it."""
        parts = [self.mode, self.client_id or "-", self.audience or "-", self.scope]
        if self.subject_token_type != ACCESS_TOKEN_TYPE:
            parts.insert(1, self.subject_token_type)
        return " ".join(parts).strip()


@dataclass(frozen=True, kw_only=True)
class StepUp:
    """How strong and how recent the sign-in must be that a route takes (RFC 9470)."""

    acr_values: tuple[str, ...] = ()
    """One of them must be the session's `acr`; the most wanted first."""
    max_age_seconds: int | None = None


@dataclass(frozen=True, kw_only=True)
class Route:
    """What lies under one prefix: which upstream, and what may be asked of it.

    The prefix is cut off and the upstream's own path put in front, so with prefix `/api` and
    upstream `http://api:8080/v1` the target `/api/items?n=1` becomes `/v1/items?n=1`. With
    `strip_prefix=False` it becomes `/v1/api/items?n=1`.
    """

    prefix: str
    """A path without trailing slash, such as `/api`."""
    upstream_urls: tuple[str, ...]
    """Its addresses: scheme, authority and perhaps a path; no trailing slash, query or fragment.
    They differ in host and port only."""
    strip_prefix: bool = True
    """Whether the prefix is cut off."""
    methods: frozenset[str] | None = None
    """What is allowed; None for everything but TRACE and CONNECT."""
    repeatable_methods: frozenset[str] = REPEATABLE_METHODS
    """What libcurl may send again when a reused connection breaks."""
    connect_timeout_seconds: float = 5.0
    """For one attempt to open a connection; there are two attempts, or one for each address."""
    answer_timeout_seconds: float = 30.0
    """From the last sent byte of the request until the answer's fields are there."""
    request_max_bytes: int = 0
    """The largest request body; 0 for no limit."""
    request_headers: frozenset[str] | None = None
    """Which of the client's fields pass, in lower case; None for all that are safe."""
    request_cookies: frozenset[str] = frozenset()
    """Which of the client's cookies pass; never ours."""
    answer_cookies: frozenset[str] = frozenset()
    """Which cookies the upstream may set in the browser, for this route's paths."""
    token: TokenRule = TokenRule()
    step_up: StepUp | None = None
    """What the route itself demands; the upstream may demand more by its own answer."""
    forward_auth: bool = True
    """Whether a proxy in front may carry it (`/auth/verify`); if not, only we do, and then its
    streams end with the session."""
    websocket: bool = False
    """Whether a proxy in front may carry WebSockets there; we ourselves never do."""
    ca_file: str = field(default_factory=certifi.where)
    """PEM certificates of the CAs that may vouch for an https upstream; those and no others."""
    base_path: str = field(init=False)
    """What stands at the upstream for the prefix."""
    origins: tuple[Origin, ...] = field(init=False)
    """Scheme, host and port of each address, lower-case and explicit."""

    def __post_init__(self) -> None:
        path = urlsplit(self.upstream_urls[0]).path.rstrip("/")
        base_path = path if self.strip_prefix else path + self.prefix
        object.__setattr__(self, "base_path", base_path)
        object.__setattr__(self, "origins", tuple(map(origin_of, self.upstream_urls)))

    def covers(self, path: str) -> bool:
        """Whether *path* is the prefix or lies below it."""
        prefix = self.prefix
        return path.startswith(prefix) and path[len(prefix) : len(prefix) + 1] in ("", "/")


def origin_of(url: str) -> Origin:
    """Scheme, host and port of *url*, comparable (RFC 6454, section 4)."""
    parts = urlsplit(url)
    port = parts.port or DEFAULT_PORTS.get(parts.scheme, 0)
    return parts.scheme.lower(), (parts.hostname or "").lower(), port
