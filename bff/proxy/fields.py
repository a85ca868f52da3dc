"""Which of the client's header fields reach the upstream, and which do we write ourselves?"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from bff.errors import RequestRefused, UpgradeRefused
from bff.proxy.client import Clients

HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding",
     "upgrade", "http2-settings", "proxy-authenticate", "proxy-authorization",
     "proxy-authentication-info"}
)  # fmt: skip
"""Fields between two neighbours only (RFC 9110, 7.6.1 and 11.7)."""

OURS_TO_WRITE = frozenset(
    {"authorization", "cookie", "cookie2", "forwarded", "via", "host", "content-length",
     "content-type", "expect", "x-request-id", "x-csrf", "x-real-ip", "x-client-ip",
     "x-cluster-client-ip", "true-client-ip", "cf-connecting-ip", "fastly-client-ip",
     "x-original-for", "x-original-host", "x-host", "x-original-proto", "proxy", "remote-user",
     "x-remote-user"}
)  # fmt: skip
"""What the client has no say in: who it is, where it asks, how it came."""

OVERRIDES = frozenset(
    {"x-http-method", "x-http-method-override", "x-method-override", "x-original-url",
     "x-rewrite-url", "x-original-uri"}
)  # fmt: skip
"""Fields by which some frameworks let another method or path pose as the request's own."""

_DROPPED = HOP_BY_HOP | OURS_TO_WRITE | OVERRIDES
_DROPPED_PREFIXES = ("x-forwarded-", "x-auth-request-")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NAMES_MAX = 1_024

_names: dict[str, str] = {}
"""Known WSGI keys and the names they stand for; empty for what is dropped."""

_inherited = frozenset(name for name in os.environ if name.startswith("HTTP_"))
"""Granian mixes the process's environment into every request's, so that `HTTP_PROXY` would reach
the upstream as a field `Proxy`, credentials and all."""


class RequestFields:
    """Writes the fields of a request to an upstream.

    Args:
        app_base_url: Where browsers find us; for `Forwarded` and `X-Forwarded-*`.
        clients: Tells the client's address.
    """

    def __init__(self, app_base_url: str, clients: Clients) -> None:
        parts = urlsplit(app_base_url)
        self._clients = clients
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
        lines: list[str] = []
        for key, value in environ.items():
            if not key.startswith("HTTP_"):
                continue
            name = _names.get(key)
            if name is None:
                name = _name_of(key)
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
            f"via: {self._via(environ)}",
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
        if "HTTP_ACCEPT" not in environ:
            # Else libcurl says `*/*`.
            lines.append("accept:")
        return lines

    def _via(self, environ: Mapping[str, Any]) -> str:
        version = environ.get("SERVER_PROTOCOL", "HTTP/1.1").removeprefix("HTTP/")
        before = environ.get("HTTP_VIA")
        if before and self._clients.from_trusted_proxy(environ):
            return f"{before}, {version} bff"
        return f"{version} bff"

    def request_id(self, environ: Mapping[str, Any]) -> str:
        """The id that a trusted proxy gave the request, else a new one."""
        given = environ.get("HTTP_X_REQUEST_ID", "")
        if given and self._clients.from_trusted_proxy(environ) and _REQUEST_ID.fullmatch(given):
            return str(given)
        return secrets.token_hex(16)


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


def _name_of(key: str) -> str:
    """The field name that a WSGI key stands for, or nothing if it is not forwarded."""
    name = key[5:].replace("_", "-").lower()
    if (
        name in _DROPPED
        or name.startswith(_DROPPED_PREFIXES)
        or key in _inherited
        or not _TOKEN.fullmatch(name)
    ):
        name = ""
    if len(_names) < _NAMES_MAX:
        _names[key] = name
    return name
