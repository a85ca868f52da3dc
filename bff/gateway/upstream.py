"""How is an upstream asked: which connection, how often, how long, and what is an answer?"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

import pycurl

from bff.config.route import Route
from bff.core.errors import UpstreamTimeout, UpstreamUnreachable
from bff.gateway.curl_connection import SEND_ONCE, SEND_TWICE, CurlConnection
from bff.gateway.request_body import RequestBody
from bff.gateway.upstream_pool import UpstreamAddress, UpstreamPool

HEAD_MAX_BYTES = 64 * 1024
TICK_SECONDS = 1.0
"""How often a silent exchange looks whether its client is still there."""

Field = tuple[str, str]
ClientGone = Callable[[], bool]

_FIELD_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_BAD_VALUE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_LENGTH = re.compile(r"[0-9]{1,18}")


class ClientLeft(Exception):
    """Nobody waits for the answer any more."""


@dataclass(slots=True)
class Head:
    """Status and fields of an answer; names are lower-case."""

    status: int
    fields: list[Field]


class Upstream:
    """Asks one upstream, at any of its addresses; safe for threads.

    Args:
        route: Where it is and what it may be asked.
    """

    def __init__(self, route: Route) -> None:
        self.route = route
        self._addresses = UpstreamPool(route)

    def ask(
        self,
        method: str,
        target: str,
        fields: Sequence[str | bytes],
        body: RequestBody | None,
        client_gone: ClientGone | None = None,
    ) -> Exchange:
        """Send one request and wait for the answer's fields.

        A connection that could not be opened is tried once more, at the next address if there are
        several. What may have reached the upstream is repeated only if the route says so.

        Raises:
            UpstreamUnreachable: No connection, no answer, or one that breaks HTTP (502).
            UpstreamTimeout: No connection or no answer in time (504).
            BodyTooLarge, RequestRefused: The client's body was not as it should be.
            ClientLeft: The client is gone.

        Source: RFC 9110, 9.2.2, 15.6.3 and 15.6.5.
        """
        limit = SEND_TWICE if method in self.route.repeatable_methods else SEND_ONCE
        addresses = self._addresses.in_turn()
        give_up_at = time.monotonic() + self.route.answer_timeout_seconds
        for attempts_left, address in enumerate(addresses, 1 - len(addresses)):
            channel = address.take()
            try:
                channel.start(method, target, fields, body, limit)
                self._await_head(channel, client_gone)
                if not channel.never_sent:
                    address.up()
                    return Exchange(address, channel, _head(channel), client_gone)
                address.down()
                if not attempts_left or time.monotonic() >= give_up_at:
                    raise _meaning(channel)
            except BaseException:
                address.give_back(channel)
                raise
            address.give_back(channel)
        raise AssertionError  # pragma: no cover - The last round returns or raises.

    def _await_head(self, channel: CurlConnection, client_gone: ClientGone | None) -> None:
        allowed = self.route.answer_timeout_seconds
        while not channel.finished and not channel.chunks and not _head_complete(channel.lines):
            left = channel.progress_at + allowed - time.monotonic()
            if left <= 0:
                raise UpstreamTimeout("no answer in time")
            channel.step(min(left, TICK_SECONDS))
            if client_gone is not None and not channel.lines and client_gone():
                raise ClientLeft


class Exchange:
    """An answer: its head, and its body to iterate over.

    Iterating gives pieces as they come, and an empty piece every second while none comes, so that
    a server notices that its client is gone. If the upstream breaks off, it raises
    `UpstreamUnreachable`, upon which the server must break the client's connection.
    """

    __slots__ = (
        "_address", "_broken_off", "_channel", "_client_gone", "head", "on_break", "whole",
    )  # fmt: skip

    def __init__(
        self,
        address: UpstreamAddress,
        channel: CurlConnection,
        head: Head,
        client_gone: ClientGone | None,
    ) -> None:
        self._address = address
        self._channel: CurlConnection | None = channel
        self._client_gone = client_gone
        self._broken_off = False
        self.head = head
        self.on_break: Callable[[], object] | None = None
        """Called before the exception, for a server that doesn't break the connection itself."""
        self.whole: bytes | None = None
        """The whole body, if it came together with the head."""
        if channel.finished and channel.failure is None:
            self.whole = b"".join(channel.chunks)
            self.close()

    def __iter__(self) -> Exchange:
        return self

    def __next__(self) -> bytes:
        channel = self._channel
        if channel is None:
            raise StopIteration
        if not channel.chunks and not channel.finished and not self._broken_off:
            channel.step(TICK_SECONDS)
        if self._broken_off:
            self._break("its session has ended")
        if channel.chunks:
            data = channel.chunks[0] if len(channel.chunks) == 1 else b"".join(channel.chunks)
            channel.chunks.clear()
            return data
        if not channel.finished:
            if self._client_gone is not None and self._client_gone():
                self.close()
                raise StopIteration
            return b""
        failure = channel.failure
        if failure is not None:
            self._break(failure[1])
        self.close()
        raise StopIteration

    def _break(self, why: str) -> NoReturn:
        self.close()
        if self.on_break is not None:
            self.on_break()
        raise UpstreamUnreachable(f"broke off: {why}")

    @property
    def open(self) -> bool:
        """Whether the answer is still being sent."""
        return self._channel is not None

    def break_off(self) -> None:
        """End the answer within a second, as if the upstream had broken off; from any thread."""
        self._broken_off = True

    def close(self) -> None:
        """Let go of the connection; what is unread of the answer is given up."""
        channel, self._channel = self._channel, None
        if channel is not None:
            self._address.give_back(channel)


def _head_complete(lines: list[bytes]) -> bool:
    # A 1xx ends with an empty line too, but the final answer comes after it.
    return bool(lines) and lines[-1] in (b"\r\n", b"\n") and _final_start(lines) is not None


def _final_start(lines: list[bytes]) -> int | None:
    """Where the first answer that is not a 1xx begins; trailers may follow it."""
    start = 0
    for index, line in enumerate(lines):
        if line in (b"\r\n", b"\n"):
            if lines[start][9:10] != b"1":
                return start
            start = index + 1
    return None


def _head(channel: CurlConnection) -> Head:
    """Read status and fields, or raise what the failure means."""
    start = _final_start(channel.lines)
    if start is None or channel.failure is not None:
        # What broke off by now can still be answered with an error instead of half an answer.
        raise _meaning(channel)
    status = channel.lines[start][9:12]
    if not status.isdigit() or not 200 <= int(status) <= 599:
        raise UpstreamUnreachable("status that can't be passed on")
    fields: list[Field] = []
    size_bytes = 0
    for line in channel.lines[start + 1 :]:
        size_bytes += len(line)
        if line in (b"\r\n", b"\n"):
            break
        name, colon, value = line.partition(b":")
        value = value.strip(b" \t\r\n")
        if not colon or not _FIELD_NAME.fullmatch(name) or _BAD_VALUE.search(value):
            raise UpstreamUnreachable("field that breaks HTTP")
        fields.append((name.decode("ascii").lower(), value.decode("latin-1")))
    if size_bytes > HEAD_MAX_BYTES:
        raise UpstreamUnreachable("fields larger than the limit")
    _check_framing(fields)
    return Head(int(status), fields)


def _check_framing(fields: list[Field]) -> None:
    """An answer whose end can be seen in two places is not passed on (RFC 9112, 6.3)."""
    lengths = {value for name, value in fields if name == "content-length"}
    codings = [value.lower() for name, value in fields if name == "transfer-encoding"]
    if not lengths and not codings:
        return
    if len(lengths) > 1 or any(not _LENGTH.fullmatch(length) for length in lengths):
        raise UpstreamUnreachable("Content-Length that is not one number")
    if codings and (lengths or codings != ["chunked"]):
        raise UpstreamUnreachable("framing that can be read in two ways")


def _meaning(channel: CurlConnection) -> Exception:
    if channel.problem is not None:
        return channel.problem
    if channel.failure is None:
        return UpstreamUnreachable("no answer")
    code, words = channel.failure
    if code == pycurl.E_OPERATION_TIMEDOUT:
        return UpstreamTimeout(words)
    return UpstreamUnreachable(words or f"libcurl's error {code}")
