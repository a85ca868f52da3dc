"""Which of the client's headers reach the upstream, and which do we write ourselves?"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from bff.config.header_names import NEVER_PASSED, NEVER_PASSED_PREFIXES, is_claim
from bff.config.route import Route
from bff.core.dpop import BoundToken
from bff.core.errors import RequestRefused, UpgradeRefused
from bff.gateway.client_address import ClientAddresses
from bff.gateway.loop_detection import Via
from bff.gateway.request_ids import RequestIDs
from bff.gateway.response_cookies import COOKIE_VALUE

WITH_EVERY_LIST = frozenset(
    {"content-encoding", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since",
     "if-range", "traceparent", "tracestate"}
)  # fmt: skip
"""These pass without being in a route's `request_headers`: the body's encoding and conditions,
without which a request would mean something else, and the trace."""

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NOT_ALPHANUMERIC = re.compile(r"[^a-z0-9]")
_NAMES_MAX = 1_024

_inherited = frozenset(name for name in os.environ if name.startswith("HTTP_"))
"""Granian adds the process's environment to that of each request: `HTTP_PROXY` would reach the
upstream as a header `Proxy`, with its credentials."""


class RequestHeaders:
    """Writes the headers of requests to an upstream.

    Args:
        app_base_url: Our own origin; for `Forwarded` and `X-Forwarded-*`.
        clients: Determines the client's address.
        route: Which of the client's headers and cookies may pass; None for the default.
    """

    def __init__(
        self, app_base_url: str, clients: ClientAddresses, route: Route | None = None
    ) -> None:
        parts = urlsplit(app_base_url)
        self._clients = clients
        self.request_id = RequestIDs(clients).of
        self._via = Via(app_base_url)
        self._cookies = route.request_cookies if route else frozenset()
        self._allowed: frozenset[str] | None = None
        if route and route.request_headers is not None:
            self._allowed = route.request_headers | WITH_EVERY_LIST
        self._passes_accept = self._allowed is None or "accept" in self._allowed
        self._names: dict[str, str] = {}
        """Header name by WSGI key; empty for what isn't passed on."""
        self._forwarded = f'host="{parts.netloc}";proto={parts.scheme}'
        self._fixed = [
            f"x-forwarded-host: {parts.netloc}",
            f"x-forwarded-proto: {parts.scheme}",
        ]
        if route and route.forwarded_prefix:
            self._fixed.append(f"x-forwarded-prefix: {route.forwarded_prefix}")

    def lines(
        self, environ: Mapping[str, Any], access_token: str | None, request_id: str
    ) -> list[str] | list[bytes]:
        """All header lines, in libcurl's form.

        Args:
            environ: The client's request.
            access_token: For `Authorization`; None if the upstream gets none.
            request_id: For `X-Request-ID`.

        Raises:
            RequestRefused: A value contains a control character.

        Source: RFC 9110, 7.6.1 and 7.6.3; RFC 7239.
        """
        nominated = _nominated(environ)
        names = self._names
        lines: list[str] = []
        for key, value in environ.items():
            name = names.get(key)
            if name is None:
                name = self._name_of(key)
            if name and name not in nominated:
                lines.append(f"{name}: {value}" if value else f"{name};")
        # After the client's headers: its `Connection` can't remove ours.
        lines += self._own(environ, access_token, request_id)
        joined = "".join(lines)
        # The search looks at each character, at ten times the cost.
        if not joined.isprintable() and _CONTROL.search(joined):
            raise RequestRefused("control character in a field")
        if not joined.isascii():
            # In WSGI, each character stands for the byte of that number (PEP 3333).
            return [line.encode("latin-1") for line in lines]
        return lines

    def _own(
        self, environ: Mapping[str, Any], access_token: str | None, request_id: str
    ) -> list[str]:
        address = self._clients.address(environ)
        node = f'"[{address}]"' if ":" in address else address or "unknown"
        lines = [
            f"forwarded: for={node};{self._forwarded}",
            f"via: {self._via.value(environ, trusted=self._clients.from_trusted_proxy(environ))}",
            f"x-request-id: {request_id}",
            *self._fixed,
        ]
        if access_token is not None:
            scheme = "DPoP" if isinstance(access_token, BoundToken) else "Bearer"
            lines.append(f"authorization: {scheme} {access_token}")
        if address:
            lines.append(f"x-forwarded-for: {address}")
        content_type = environ.get("CONTENT_TYPE")
        if content_type:
            lines.append(f"content-type: {content_type}")
        if self._cookies and (cookies := _passing(environ, self._cookies)):
            lines.append(f"cookie: {cookies}")
        if "HTTP_ACCEPT" not in environ or not self._passes_accept:
            # Else libcurl sends `*/*`.
            lines.append("accept:")
        return lines

    def _name_of(self, key: str) -> str:
        """The header name of a WSGI key; empty if it is none, or the header is dropped."""
        name = key[5:].replace("_", "-").lower()
        # Some servers make the same variable of `X!Forwarded.For`.
        as_read = _NOT_ALPHANUMERIC.sub("-", name)
        if (
            not key.startswith("HTTP_")
            or as_read in NEVER_PASSED
            or as_read.startswith(NEVER_PASSED_PREFIXES)
            or key in _inherited
            or not _TOKEN.fullmatch(name)
            or (is_claim(as_read) if self._allowed is None else name not in self._allowed)
        ):
            name = ""
        if len(self._names) < _NAMES_MAX:
            self._names[key] = name
        return name


def with_fields(headers: Mapping[str, str], lines: Sequence[str | bytes]) -> Sequence[str | bytes]:
    """*lines* and *headers*, which replace those of the same name."""
    names = tuple(f"{name.lower()}{end}" for name in headers for end in ":;")
    texts = ((one, one.decode("latin-1") if isinstance(one, bytes) else one) for one in lines)
    kept = [one for one, text in texts if not text.lower().startswith(names)]
    return [*kept, *(f"{name}: {value}" for name, value in headers.items())]


def check_protocol(environ: Mapping[str, Any]) -> None:
    """Refuse a request for another protocol, or with an unknown expectation or condition.

    Raises:
        UpgradeRefused: A WebSocket handshake (RFC 6455, 4.1). Other upgrades may be ignored.
        RequestRefused: An expectation other than `100-continue` (RFC 9110, 10.1.1). Or an empty
            condition: Granian empties one with a letter beyond ASCII, and without it a write could
            undo another's, or two parts of different files become one.
    """
    if "websocket" in environ.get("HTTP_UPGRADE", "").lower():
        raise UpgradeRefused("websocket")
    expect = environ.get("HTTP_EXPECT")
    if expect and expect.strip().lower() != "100-continue":
        raise RequestRefused("unknown expectation")
    if "" in (environ.get("HTTP_IF_MATCH"), environ.get("HTTP_IF_RANGE")) or (
        environ.get("HTTP_IF_NONE_MATCH") == "" and environ["REQUEST_METHOD"] not in ("GET", "HEAD")
    ):
        raise RequestRefused("empty condition")


def _nominated(environ: Mapping[str, Any]) -> frozenset[str]:
    """The names in `Connection`; WSGI doesn't distinguish underscores from dashes."""
    connection = environ.get("HTTP_CONNECTION")
    if not connection or connection in ("keep-alive", "close"):
        return frozenset()
    return frozenset(name.strip().lower().replace("_", "-") for name in connection.split(","))


def _passing(environ: Mapping[str, Any], names: frozenset[str]) -> str:
    """The client's cookies of these names, unchanged.

    An invalid value (RFC 6265, 4.1.1) doesn't pass: where a server has joined two `Cookie` headers
    with a comma, it would contain another cookie.
    """
    passing = []
    for pair in environ.get("HTTP_COOKIE", "").split(";"):
        name, equals, value = pair.strip(" \t").partition("=")
        if equals and name in names and COOKIE_VALUE.fullmatch(value):
            passing.append(f"{name}={value}")
    return "; ".join(passing)
