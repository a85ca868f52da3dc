"""Which of the client's header fields reach the upstream, and which do we write ourselves?"""

from __future__ import annotations

import os
import random
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from bff.config.header_names import NEVER_PASSED, NEVER_PASSED_PREFIXES
from bff.config.route import Route
from bff.core.errors import RequestRefused, UpgradeRefused
from bff.gateway.client_address import ClientAddresses
from bff.gateway.loop_detection import Via
from bff.gateway.response_cookies import COOKIE_VALUE

WITH_EVERY_LIST = frozenset(
    {"content-encoding", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since",
     "if-range", "traceparent", "tracestate"}
)  # fmt: skip
"""What a route's list of fields needn't name: how the body is encoded, and conditions, without
which a request would mean something else; and the trace."""

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
"""An id that a trusted proxy may give a request."""
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NAMES_MAX = 1_024

_inherited = frozenset(name for name in os.environ if name.startswith("HTTP_"))
"""Granian mixes the process's environment into every request's, so that `HTTP_PROXY` would reach
the upstream as a field `Proxy`, credentials and all."""


class RequestHeaders:
    """Writes the fields of a request to an upstream.

    Args:
        app_base_url: Where browsers find us; for `Forwarded` and `X-Forwarded-*`.
        clients: Tells the client's address.
        route: Says which of the client's fields and cookies may pass; None for the usual.
    """

    def __init__(
        self, app_base_url: str, clients: ClientAddresses, route: Route | None = None
    ) -> None:
        parts = urlsplit(app_base_url)
        self._clients = clients
        self._via = Via(app_base_url)
        self._cookies = route.request_cookies if route else frozenset()
        self._allowed: frozenset[str] | None = None
        if route and route.request_headers is not None:
            self._allowed = route.request_headers | WITH_EVERY_LIST
        self._passes_accept = self._allowed is None or "accept" in self._allowed
        self._names: dict[str, str] = {}
        """Known WSGI keys and the names they stand for; empty for what is dropped."""
        self._forwarded = f'host="{parts.netloc}";proto={parts.scheme}'
        self._fixed = [
            f"x-forwarded-host: {parts.netloc}",
            f"x-forwarded-proto: {parts.scheme}",
        ]

    def lines(
        self, environ: Mapping[str, Any], bearer: str | None, request_id: str
    ) -> list[str] | list[bytes]:
        """All field lines, as libcurl takes them.

        Args:
            environ: The client's request.
            bearer: The access token, if the upstream gets one.
            request_id: Goes into `X-Request-ID`.

        Raises:
            RequestRefused: A value has a control character in it.

        Source: RFC 9110, 7.6.1 and 7.6.3; RFC 7239.
        """
        nominated = _nominated(environ)
        names = self._names
        lines: list[str] = []
        for key, value in environ.items():
            if not key.startswith("HTTP_"):
                continue
            name = names.get(key)
            if name is None:
                name = self._name_of(key)
            if name and name not in nominated:
                lines.append(f"{name}: {value}" if value else f"{name};")
        # All that was nominated for dropping is gone by now; this can't be.
        lines += self._own(environ, bearer, request_id)
        joined = "".join(lines)
        if _CONTROL.search(joined):
            raise RequestRefused("control character in a field")
        if not joined.isascii():
            # A WSGI server hands every byte on as the character of that number (PEP 3333).
            return [line.encode("latin-1") for line in lines]
        return lines

    def _own(self, environ: Mapping[str, Any], bearer: str | None, request_id: str) -> list[str]:
        address = self._clients.address(environ)
        node = f'"[{address}]"' if ":" in address else address or "unknown"
        lines = [
            f"forwarded: for={node};{self._forwarded}",
            f"via: {self._via.line(environ, trusted=self._clients.from_trusted_proxy(environ))}",
            f"x-request-id: {request_id}",
            *self._fixed,
        ]
        if bearer is not None:
            lines.append(f"authorization: Bearer {bearer}")
        if address:
            lines.append(f"x-forwarded-for: {address}")
        content_type = environ.get("CONTENT_TYPE")
        if content_type:
            lines.append(f"content-type: {content_type}")
        if self._cookies and (cookies := _passing(environ, self._cookies)):
            lines.append(f"cookie: {cookies}")
        if "HTTP_ACCEPT" not in environ or not self._passes_accept:
            # Else libcurl says `*/*`.
            lines.append("accept:")
        return lines

    def _name_of(self, key: str) -> str:
        """The field name that a WSGI key stands for, or nothing if it is not forwarded."""
        name = key[5:].replace("_", "-").lower()
        if (
            name in NEVER_PASSED
            or name.startswith(NEVER_PASSED_PREFIXES)
            or key in _inherited
            or not _TOKEN.fullmatch(name)
            or (self._allowed is not None and name not in self._allowed)
        ):
            name = ""
        if len(self._names) < _NAMES_MAX:
            self._names[key] = name
        return name

    def request_id(self, environ: Mapping[str, Any]) -> str:
        """The id that a trusted proxy gave the request, else a new one."""
        given = environ.get("HTTP_X_REQUEST_ID", "")
        if given and self._clients.from_trusted_proxy(environ) and REQUEST_ID.fullmatch(given):
            return str(given)
        # No secret, and asking the kernel for each would let another thread in between.
        return f"{random.getrandbits(128):032x}"  # noqa: S311


def check_protocol(environ: Mapping[str, Any]) -> None:
    """Refuse what asks for another protocol, or for more than we can promise.

    Raises:
        UpgradeRefused: A WebSocket handshake (RFC 6455, 4.1). Other upgrades may be ignored.
        RequestRefused: An expectation other than `100-continue` (RFC 9110, 10.1.1).
    """
    if "websocket" in environ.get("HTTP_UPGRADE", "").lower():
        raise UpgradeRefused("websocket")
    expect = environ.get("HTTP_EXPECT")
    if expect and expect.strip().lower() != "100-continue":
        raise RequestRefused("unknown expectation")


def _nominated(environ: Mapping[str, Any]) -> frozenset[str]:
    """The names in `Connection`; an underscore in one is as good as a dash, as WSGI has it."""
    connection = environ.get("HTTP_CONNECTION")
    if not connection or connection in ("keep-alive", "close"):
        return frozenset()
    return frozenset(name.strip().lower().replace("_", "-") for name in connection.split(","))


def _passing(environ: Mapping[str, Any], names: frozenset[str]) -> str:
    """The client's cookies of these names, as they came.

    A value that isn't one (RFC 6265, 4.1.1) doesn't pass: two `Cookie` fields that a server joined
    with a comma would carry another cookie along in it.
    """
    passing = []
    for pair in environ.get("HTTP_COOKIE", "").split(";"):
        name, equals, value = pair.strip(" \t").partition("=")
        if equals and name in names and COOKIE_VALUE.fullmatch(value):
            passing.append(f"{name}={value}")
    return "; ".join(passing)
