"""How is a request sent to an upstream: to which address, how often, and with which timeouts?"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import NoReturn

import pycurl

from bff.config.route import Origin, Route
from bff.core.errors import ResponseBrokenOff, UpstreamTimeout, UpstreamUnreachable
from bff.core.operations import Operation
from bff.gateway.curl_connection import SEND_ONCE, SEND_TWICE, CurlConnection
from bff.gateway.request_body import RequestBody
from bff.gateway.request_headers import with_fields
from bff.gateway.response_head import Head, final_head, keep_alive_seconds, read_head
from bff.gateway.upstream_pool import UpstreamAddress, UpstreamPool

log = logging.getLogger(__name__)

CHUNKS_MAX = 8
"""So many of libcurl's chunks, of up to 16 KB each, make one piece of a response. The server keeps
a few pieces for a client that doesn't read."""
TICK_SECONDS = 1.0
"""How often a silent exchange checks that its client is still connected."""

CLIENT_CLOSED_REQUEST = 499
"""Appears in the access log only; the client has disconnected."""
_RESET = (pycurl.E_RECV_ERROR, pycurl.E_SEND_ERROR)

ClientGone = Callable[[], bool]
"""Whether the client has disconnected."""
Prove = Callable[[str, str, Origin], str]
"""The line with a proof for one request, by its method, target and address (`api_proofs`)."""


class ClientDisconnected(Exception):
    """The client no longer waits for the response."""


class Upstream:
    """The upstream of one route, at all of its addresses; safe for threads.

    Args:
        route: Its addresses, timeouts and repeatable methods.
    """

    def __init__(self, route: Route) -> None:
        self.route = route
        self._only_origin = route.origins[0] if len(route.origins) == 1 else None
        self._pool = UpstreamPool(route)

    def close_idle(self) -> int:
        """Close connections that wait in vain; returns how many."""
        return self._pool.close_idle()

    def send(
        self,
        method: str,
        target: str,
        header_lines: Sequence[str | bytes],
        body: RequestBody | None,
        client_gone: ClientGone | None = None,
        prove: Prove | None = None,
    ) -> Exchange:
        """Send one request, and wait for status and headers of the response.

        If no connection can be opened, there is a second attempt, or one at each other address. A
        request that may have reached the upstream is repeated only if the route allows it.

        Raises:
            UpstreamUnreachable: No connection, no response, or one that violates HTTP (502).
            UpstreamTimeout: No connection or no response in time (504).
            BodyTooLarge, RequestRefused: The client's body is too large, incomplete or invalid.
            ClientDisconnected: The client has disconnected.

        Source: RFC 9110, 9.2.2, 15.6.3 and 15.6.5.
        """
        # A body isn't kept, so it can't be sent again.
        repeatable = method in self.route.repeatable_methods and (body is None or body.finished)
        limit = SEND_TWICE if repeatable and prove is None else SEND_ONCE
        addresses = self._pool.addresses_to_try()
        give_up_at = time.monotonic() + self.route.answer_timeout_seconds
        for attempts_left, address in enumerate(addresses, 1 - len(addresses)):
            connection = address.take(repeatable=repeatable)
            try:
                lines = header_lines
                if prove is not None:
                    lines = [*lines, prove(method, target, address.origin)]
                connection.start(method, target, lines, body, limit)
                self._await_head(connection, client_gone)
                if not connection.never_sent:
                    address.mark_reachable()
                    head = _head(connection, has_body=body is not None)
                    connection.keep_alive_seconds = keep_alive_seconds(head)
                    return Exchange(address, connection, head, client_gone, body is not None)
                address.mark_unreachable()
                if not attempts_left or time.monotonic() >= give_up_at:
                    raise _error(connection)
            except BaseException:
                address.give_back(connection)
                raise
            address.give_back(connection)
        raise AssertionError  # pragma: no cover - The last round returns or raises.

    def send_observed(
        self,
        method: str,
        target: str,
        header_lines: Sequence[str | bytes],
        body: RequestBody | None,
        client_gone: ClientGone | None = None,
        prove: Prove | None = None,
    ) -> Exchange:
        """`send`, which observers are told of."""
        with Operation("upstream", self.route.prefix, method) as operation:
            operation.origin = self._only_origin
            if operation.headers:
                header_lines = with_fields(operation.headers, header_lines)
            try:
                exchange = self.send(method, target, header_lines, body, client_gone, prove)
            except ClientDisconnected:
                operation.status = CLIENT_CLOSED_REQUEST
                raise
            operation.status = exchange.head.status
            if operation.origin is None:
                operation.origin = exchange.origin
            return exchange

    def _await_head(self, connection: CurlConnection, client_gone: ClientGone | None) -> None:
        allowed = self.route.answer_timeout_seconds
        while not connection.finished and not _may_begin(connection):
            left = connection.progress_at + allowed - time.monotonic()
            if left <= 0:
                if _head_complete(connection.header_lines):
                    return
                raise UpstreamTimeout("no response in time")
            connection.step(min(left, TICK_SECONDS))
            if client_gone is not None and not connection.header_lines and client_gone():
                raise ClientDisconnected


class Exchange:
    """A response: its head, and its body to iterate over.

    Iterating yields pieces as they come, and an empty piece every second while none comes, so that
    the server notices when its client has disconnected. If the upstream breaks off, or the session
    ends, it raises `ResponseBrokenOff`; the server must then break the client's connection.
    """

    __slots__ = (
        "__weakref__", "_address", "_broken_off", "_client_gone", "_connection",
        "_may_end_by_reset", "complete_body", "head", "on_break", "on_close", "route_prefix",
        "user",
    )  # fmt: skip

    def __init__(
        self,
        address: UpstreamAddress,
        connection: CurlConnection,
        head: Head,
        client_gone: ClientGone | None,
        has_body: bool,
    ) -> None:
        self._address = address
        self._connection: CurlConnection | None = connection
        self._client_gone = client_gone
        self._broken_off = False
        # Who refuses a body may not read it, and closing resets the connection then.
        self._may_end_by_reset = has_body and head.status >= 400 and head.ends_with_connection
        self.head = head
        self.on_break: Callable[[], object] | None = None
        """Called in place of the exception, for a server that wouldn't break the connection."""
        self.on_close: Callable[[], object] | None = None
        """Called once, when the exchange is over."""
        self.route_prefix = ""
        """Of the route that the request came on."""
        self.user = ""
        """Who has sent it."""
        self.complete_body: bytes | None = None
        """The body, if all of it came together with the head."""
        if connection.finished and self._failure(connection) is None:
            self.complete_body = b"".join(connection.chunks)
            self.close()

    def __iter__(self) -> Exchange:
        return self

    def __next__(self) -> bytes:
        connection = self._connection
        if connection is None:
            raise StopIteration
        if not connection.chunks and not connection.finished and not self._broken_off:
            connection.step(TICK_SECONDS)
        if self._broken_off:
            self._break()
        chunks = connection.chunks
        if chunks:
            data = chunks[0] if len(chunks) == 1 else b"".join(chunks[:CHUNKS_MAX])
            del chunks[:CHUNKS_MAX]
            return data
        if not connection.finished:
            if self._client_gone is not None and self._client_gone():
                self.close()
                raise StopIteration
            return b""
        failure = self._failure(connection)
        if failure is not None:
            log.warning("a response on %s broke off: %s", self.route_prefix, failure[1])
            self._break()
        self.close()
        raise StopIteration

    def _failure(self, connection: CurlConnection) -> tuple[int, str] | None:
        failure = connection.failure
        return None if self._may_end_by_reset and failure and failure[0] in _RESET else failure

    def _break(self) -> NoReturn:
        self.close()
        if self.on_break is not None:
            self.on_break()
            raise StopIteration
        raise ResponseBrokenOff("broke off")

    @property
    def origin(self) -> Origin:
        """Whose response it is."""
        return self._address.origin

    @property
    def open(self) -> bool:
        """Whether the response isn't complete yet."""
        return self._connection is not None

    def break_off(self) -> None:
        """End the response within a second, as if the upstream had broken off; from any thread."""
        self._broken_off = True

    def close(self) -> None:
        """Release the connection; the unread part of the response is discarded."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._address.give_back(connection)
            if self.on_close is not None:
                self.on_close()


def _may_begin(connection: CurlConnection) -> bool:
    """Whether our response may begin, as far as the upstream's has come.

    Not while the client's body is on its way: a body that stalls can be ended only before that. But
    the upstream may refuse the body, or have more to say than we keep.
    """
    lines = connection.header_lines
    if not connection.chunks and not _head_complete(lines):
        return False
    if not connection.sending or len(connection.chunks) >= CHUNKS_MAX:
        return True
    found = final_head(lines)
    return found is not None and lines[found[0]][9:10] in (b"4", b"5")


def _head_complete(lines: list[bytes]) -> bool:
    # A 1xx ends with an empty line too, but the final response comes after it.
    return bool(lines) and lines[-1] in (b"\r\n", b"\n") and final_head(lines) is not None


def _head(connection: CurlConnection, *, has_body: bool) -> Head:
    """Read status and headers, or raise the error for the failure."""
    lines = connection.header_lines
    found = final_head(lines)
    refused = has_body and found is not None and _has_refused_body(connection, lines[found[0]])
    if found is None or (connection.failure is not None and not refused):
        # Nothing has been passed on yet, so the client gets an error, not half a response.
        raise _error(connection)
    return read_head(lines, *found)


def _has_refused_body(connection: CurlConnection, status_line: bytes) -> bool:
    """Whether the upstream has refused the request, and then reset the connection.

    Who closes without reading the body resets (RFC 9112, 9.6). What was said of the request counts.
    """
    reset = connection.failure is not None and connection.failure[0] in _RESET
    return reset and connection.body_error is None and status_line[9:10] in (b"4", b"5")


def _error(connection: CurlConnection) -> Exception:
    if connection.body_error is not None:
        return connection.body_error
    if connection.failure is None:
        return UpstreamUnreachable("no response")
    code, message = connection.failure
    if code == pycurl.E_OPERATION_TIMEDOUT:
        return UpstreamTimeout(message)
    error = UpstreamUnreachable(message or f"libcurl's error {code}")
    error.is_swallowed = code == pycurl.E_ABORTED_BY_CALLBACK  # It would have been sent again.
    return error
