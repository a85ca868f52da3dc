"""Where does a path under our origin go, and what may be done there? Data only."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443}
REPEATABLE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
"""Safe methods (RFC 9110, 9.2.1) less TRACE: asking twice changes nothing."""


@dataclass(frozen=True, kw_only=True)
class Route:
    """One upstream: `<prefix>/x` goes to `<upstream_url>/x`.

    The prefix is cut off and the upstream's own path put in front, so with prefix `/api` and
    upstream `http://api:8080/v1` the target `/api/items?n=1` becomes `/v1/items?n=1`.
    """

    prefix: str
    """A path without trailing slash, such as `/api`."""
    upstream_url: str
    """Scheme, authority and perhaps a path; no trailing slash, query or fragment."""
    methods: frozenset[str] | None = None
    """What is allowed; None for everything but TRACE and CONNECT."""
    repeatable_methods: frozenset[str] = REPEATABLE_METHODS
    """What libcurl may send again when a reused connection breaks."""
    connect_timeout_seconds: float = 5.0
    """For one attempt to open a connection; there are two attempts."""
    answer_timeout_seconds: float = 30.0
    """From the last sent byte of the request until the answer's fields are there."""
    request_max_bytes: int = 0
    """The largest request body; 0 for no limit."""
    path: str = field(init=False)
    """The upstream's own path, put in front of every target."""
    origin: tuple[str, str, int] = field(init=False)
    """Scheme, host and port of the upstream, lower-case and explicit."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", urlsplit(self.upstream_url).path.rstrip("/"))
        object.__setattr__(self, "origin", origin_of(self.upstream_url))


def origin_of(url: str) -> tuple[str, str, int]:
    """Scheme, host and port of *url*, comparable (RFC 6454, section 4)."""
    parts = urlsplit(url)
    port = parts.port or DEFAULT_PORTS.get(parts.scheme, 0)
    return parts.scheme.lower(), (parts.hostname or "").lower(), port
