"""How long is a request's body, may it be forwarded, and how is it read?

The upstream gets one framing: a Content-Length if the client sent one, else chunks. Contradictory
framing is refused, and a body that ends early breaks off the request to the upstream.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from bff.config.route import Route
from bff.core.errors import BFFError, BodyTooLarge, LengthRequired, RequestRefused
from bff.gateway import granian

LENGTH_MAX_DIGITS = 18
EXPECTS_LENGTH = frozenset({"POST", "PUT", "PATCH"})
"""Without a body they carry `Content-Length: 0` (RFC 9110, 8.6)."""


class Readable(Protocol):
    """The part of `wsgi.input` that is used."""

    def read(self, size_bytes: int, /) -> bytes:
        """That many bytes; fewer only at the end."""


class RequestBody:
    """A request's body on its way to the upstream.

    Args:
        stream: `wsgi.input`.
        length_bytes: Its Content-Length; None if it comes in chunks.
        max_bytes: The limit for a body in chunks; 0 for none.
    """

    __slots__ = ("_max_bytes", "_read_bytes", "_stream", "finished", "length_bytes")

    def __init__(self, stream: Readable, length_bytes: int | None, max_bytes: int) -> None:
        self._stream = stream
        self._max_bytes = max_bytes
        self._read_bytes = 0
        self.length_bytes = length_bytes
        self.finished = length_bytes == 0

    @property
    def partly_read(self) -> bool:
        """Whether a part has been read, and another hasn't."""
        return self._read_bytes > 0 and not self.finished

    @property
    def untouched(self) -> bool:
        """Whether nothing has been read, so that the request can be sent again."""
        return self._read_bytes == 0

    def read(self, size_bytes: int) -> bytes:
        """The next piece, empty at the end.

        Raises:
            RequestRefused: The body ended before its announced length, or violates HTTP.
            BodyTooLarge: It exceeds the limit.
        """
        if self.finished:
            return b""
        if self.length_bytes is not None:
            size_bytes = min(size_bytes, self.length_bytes - self._read_bytes)
        try:
            data = self._stream.read(size_bytes)
        except BFFError:
            raise
        except Exception as error:
            # Each server has its own exceptions for a disconnected client and for invalid HTTP.
            raise RequestRefused(f"body unreadable: {type(error).__name__}") from error
        self._read_bytes += len(data)
        if self.length_bytes is not None:
            if not data:
                raise RequestRefused("body shorter than its Content-Length")
            self.finished = self._read_bytes >= self.length_bytes
        else:
            self.finished = not data
            if self._max_bytes and self._read_bytes > self._max_bytes:
                raise BodyTooLarge("counted")
        return data


def request_body(environ: Mapping[str, Any], route: Route) -> RequestBody | None:
    """The body to forward, or None if there is none.

    Raises:
        RequestRefused: The framing is ambiguous.
        LengthRequired: It comes in chunks, and the server can't tell whether they are complete.
        BodyTooLarge: Its Content-Length exceeds the route's limit.

    Source: RFC 9112, 6.1 to 6.3.
    """
    coding = environ.get("HTTP_TRANSFER_ENCODING")
    length = environ.get("CONTENT_LENGTH") or None
    if coding is None and length is None and environ["REQUEST_METHOD"] not in EXPECTS_LENGTH:
        return None
    if coding is not None and length is not None:
        raise RequestRefused("both Content-Length and Transfer-Encoding")
    stream = environ["wsgi.input"]
    if coding is not None:
        body = _chunked(environ, coding, stream, route)
    else:
        body = RequestBody(stream, _length(length or "0", route), route.request_max_bytes)
        if not body.length_bytes and environ["REQUEST_METHOD"] not in EXPECTS_LENGTH:
            return None
    if environ["REQUEST_METHOD"] == "HEAD":
        raise RequestRefused("HEAD with a body")
    return body


def _chunked(
    environ: Mapping[str, Any], coding: str, stream: Readable, route: Route
) -> RequestBody:
    if coding.strip().lower() != "chunked":
        raise RequestRefused("transfer coding other than chunked")
    if not environ.get("wsgi.input_terminated"):
        raise RequestRefused("the server can't read chunks")
    if granian.serves(environ):
        # Granian (2.8) doesn't tell a chunked body that broke off from a complete one: half a file
        # would be stored as the whole.
        raise LengthRequired("a body in chunks under Granian")
    return RequestBody(stream, None, route.request_max_bytes)


def _length(text: str, route: Route) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= LENGTH_MAX_DIGITS):
        raise RequestRefused("Content-Length is not a number")
    length = int(text)
    if route.request_max_bytes and length > route.request_max_bytes:
        raise BodyTooLarge("announced")
    return length
