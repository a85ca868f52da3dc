"""What reaches the upstream of the client's body and of the process's environment?"""

from __future__ import annotations

import io
import socket
import threading
import time
from collections.abc import Callable

import pytest

from bff.core.errors import BFFError, BodyTooLarge, RequestRefused, UpstreamUnreachable
from bff.gateway.early_response import EarlyResponse
from bff.gateway.request_body import RequestBody
from tests.gateway.upstream_requests import read, send, upstream_at
from tests.support.processes import free_port
from tests.support.raw_client import read_until
from tests.support.raw_upstream import RESPONSE, WAIT_SECONDS, RawUpstream, Wire


def test_a_chunked_body_stays_chunked(raw: RawUpstream) -> None:
    assert read(send(upstream_at(raw.url), "POST", b"abc" * 100_000, None)) == b"ok"
    assert raw.seen[0].get("transfer-encoding") == "chunked"
    assert raw.seen[0].get("content-length") is None
    assert raw.seen[0].body == b"abc" * 100_000


def test_a_body_of_known_length_keeps_it(raw: RawUpstream) -> None:
    assert read(send(upstream_at(raw.url), "PUT", b"abc" * 1_000_000)) == b"ok"
    assert raw.seen[0].get("content-length") == "3000000"
    assert raw.seen[0].get("transfer-encoding") is None
    assert raw.seen[0].get("expect") is None
    assert raw.seen[0].body == b"abc" * 1_000_000


def body_problem(make: Callable[[], RequestBody], raw: RawUpstream) -> BFFError:
    def script(upstream: RawUpstream, wire: Wire) -> None:
        seen = wire.read_request()
        assert seen is not None
        upstream.note(seen)

    raw.script = script
    with pytest.raises(BFFError) as caught:
        upstream_at(raw.url).send("POST", "/x", [], make())
    (seen,) = raw.wait_for(1)
    assert not seen.complete
    return caught.value


def test_a_body_that_ends_early_never_looks_complete_to_the_upstream(raw: RawUpstream) -> None:
    problem = body_problem(lambda: RequestBody(io.BytesIO(b"x" * 500_000), 600_000, 0), raw)
    assert isinstance(problem, RequestRefused)


def test_a_body_over_the_limit_is_broken_off(raw: RawUpstream) -> None:
    problem = body_problem(lambda: RequestBody(io.BytesIO(b"x" * 900_000), None, 600_000), raw)
    assert isinstance(problem, BodyTooLarge)


def test_an_early_response_of_the_upstream_is_read(raw: RawUpstream) -> None:
    """It responds with 413 after the headers, and reads no further."""

    def script(upstream: RawUpstream, wire: Wire) -> None:
        wire.sock.recv(1000)
        wire.send(b"HTTP/1.1 413 No\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
        wire.sock.shutdown(socket.SHUT_WR)
        wire.wait_closed()

    raw.script = script
    exchange = send(upstream_at(raw.url), "POST", b"x" * 3_000_000)
    assert (exchange.head.status, read(exchange)) == (413, b"no")


class BodyAfter:
    """The body of a client that sends its first piece, and the rest only after an event."""

    def __init__(self, event: threading.Event) -> None:
        self._event = event
        self._reads = 0

    def read(self, size_bytes: int) -> bytes:
        """That many bytes."""
        self._reads += 1
        if self._reads > 1:
            assert self._event.wait(WAIT_SECONDS)
        return b"x" * size_bytes


@pytest.mark.parametrize("size_bytes", [300_000, 3_000_000, None], ids=str)
@pytest.mark.parametrize("reused", [False, True], ids=["new connection", "reused connection"])
def test_the_response_of_an_upstream_that_closes_without_reading_is_passed_on(
    raw: RawUpstream, size_bytes: int | None, reused: bool
) -> None:
    """A write to the connection fails, since the upstream has left a part of the body unread."""
    closed = threading.Event()

    def script(upstream: RawUpstream, wire: Wire) -> None:
        if reused:
            wire.read_request()
            wire.send(RESPONSE)
        # Until the first piece of the body comes; the second one waits for the end of this.
        while not wire.sock.recv(1000, socket.MSG_PEEK).partition(b"\r\n\r\n")[2]:
            pass
        wire.sock.recv(10)
        wire.send(b"HTTP/1.1 403 No\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
        wire.sock.close()
        closed.set()

    raw.script = script
    upstream = upstream_at(raw.url)
    if reused:
        assert read(send(upstream)) == b"ok"
    body = RequestBody(BodyAfter(closed), size_bytes, 0)
    exchange = upstream.send("POST", "/x", [], body)
    assert (exchange.head.status, read(exchange)) == (403, b"no")


GIVEN_UP_SECONDS = 5.0
NO = b"HTTP/1.1 413 No\r\n"
RESET_RESPONSES = {
    "no length": (NO + b"\r\nno", 413, b"no"),
    "HTTP/1.0": (b"HTTP/1.0 401 No\r\n\r\nno", 401, b"no"),
    "no body": (NO + b"Connection: close\r\n\r\n", 413, b""),
    "hints first": (b"HTTP/1.1 103 Hints\r\n\r\n" + NO + b"\r\nno", 413, b"no"),
    "length": (NO + b"Content-Length: 2\r\n\r\nno", 413, b"no"),
    "a part": (NO + b"Content-Length: 9\r\n\r\nno", 413, None),
    "a part of the chunks": (NO + b"Transfer-Encoding: chunked\r\n\r\n2\r\nno\r\n", 413, None),
    # Nobody knows whether that is all.
    "success of unknown length": (b"HTTP/1.1 200 OK\r\n\r\nok", 502, None),
    "no end of headers": (NO, 502, None),
}
"""What is passed on; no body where it must break off."""


@pytest.mark.parametrize(
    ("response", "status", "passed"), RESET_RESPONSES.values(), ids=RESET_RESPONSES
)
def test_a_refusal_of_a_body_counts_though_a_reset_ends_it(
    raw: RawUpstream, response: bytes, status: int, passed: bytes | None
) -> None:
    """So ends what an upstream says that closes with a part of the body unread."""
    closed = threading.Event()

    def script(upstream: RawUpstream, wire: Wire) -> None:
        read_until(wire.sock, b"\r\n\r\nx")
        wire.send(response)
        wire.reset()
        closed.set()

    raw.script = script
    body = RequestBody(BodyAfter(closed), 3_000_000, 0)
    try:
        exchange = upstream_at(raw.url).send("POST", "/x", [], body)
    except UpstreamUnreachable:
        assert status == 502
        return
    assert exchange.head.status == status
    if passed is None:
        with pytest.raises(UpstreamUnreachable):
            read(exchange)
    else:
        assert read(exchange) == passed


def test_a_refusal_without_length_may_end_with_a_later_reset(raw: RawUpstream) -> None:
    responded, passed_on = threading.Event(), threading.Event()

    def script(upstream: RawUpstream, wire: Wire) -> None:
        read_until(wire.sock, b"\r\n\r\nx")
        wire.send(NO + b"\r\nno")
        responded.set()
        assert passed_on.wait(WAIT_SECONDS)
        wire.reset()

    raw.script = script
    body = RequestBody(BodyAfter(responded), 3_000_000, 0)
    exchange = upstream_at(raw.url).send("POST", "/x", [], body)
    assert (exchange.head.status, next(exchange)) == (413, b"no")
    passed_on.set()
    assert b"".join(exchange) == b""


@pytest.mark.parametrize(
    ("left", "whole", "lines", "chunks"),
    [
        (RESPONSE, True, 3, [b"ok"]),
        (b"HTTP/1.1 103 Hints\r\nA: b\r\n\r\n" + RESPONSE, True, 6, [b"ok"]),
        (NO + b"content-length: 0\r\n\r\n", True, 3, []),
        (NO + b"Content-Length: 9\r\n\r\nno", False, 3, [b"no"]),
        (NO + b"\r\nno", False, 2, [b"no"]),
        (NO + b"Transfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n", False, 0, []),
        (NO, False, 0, []),
        (b"\x15\x03\x03\x00\x02\r\n\r\n", False, 0, []),
        (b"", False, 0, []),
    ],
)
def test_a_response_is_read_that_came_just_before_a_send_failed(
    raw: RawUpstream, left: bytes, whole: bool, lines: int, chunks: list[bytes]
) -> None:
    """libcurl has closed the connection by then, without looking."""
    sent = threading.Event()

    def script(upstream: RawUpstream, wire: Wire) -> None:
        wire.send(left)
        wire.reset()
        sent.set()

    raw.script = script
    early, got_lines, got_chunks = EarlyResponse(), list[bytes](), list[bytes]()
    with socket.create_connection(("127.0.0.1", raw.port)) as connection:
        connection.setblocking(False)  # As libcurl does.
        early.keep(connection.fileno())
        assert sent.wait(WAIT_SECONDS)
    assert early.read_left(got_lines, got_chunks) == whole
    assert (len(got_lines), got_chunks) == (lines, chunks)
    early.let_go()


@pytest.mark.parametrize("ends_by", ["close", "reset", "end of sending"])
@pytest.mark.parametrize(
    ("response", "status", "passed"),
    [
        (RESPONSE, 200, b"ok"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 200, b"ok"),
        (b"HTTP/1.1 303 See Other\r\nContent-Length: 0\r\nLocation: /\r\n\r\n", 303, b""),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
    ],
)
def test_a_whole_response_counts_though_the_upstream_reads_no_more(
    raw: RawUpstream, response: bytes, status: int, passed: bytes, ends_by: str
) -> None:
    """libcurl reads nothing after it, not even that the upstream has closed, and would wait."""
    closed = threading.Event()

    def script(upstream: RawUpstream, wire: Wire) -> None:
        read_until(wire.sock, b"\r\n\r\nx")
        wire.send(response)
        if ends_by == "close":
            wire.sock.close()
        elif ends_by == "reset":
            wire.reset()
        else:
            wire.sock.shutdown(socket.SHUT_WR)
        closed.set()
        if ends_by == "end of sending":
            wire.wait_closed()

    raw.script = script
    body = RequestBody(BodyAfter(closed), 3_000_000, 0)
    started = time.monotonic()
    exchange = upstream_at(raw.url, GIVEN_UP_SECONDS).send("POST", "/x", [], body)
    assert exchange.head.status == status
    assert time.monotonic() - started < GIVEN_UP_SECONDS, "that is when it would be given up"
    assert read(exchange) == passed


class StalledBody:
    """A body that ends after its first piece, as `slow_clients` ends one that stalls."""

    def __init__(self, event: threading.Event) -> None:
        self._event = event
        self._reads = 0

    def read(self, size_bytes: int) -> bytes:
        """One byte, then nothing once the upstream has responded."""
        self._reads += 1
        if self._reads == 1:
            return b"x"
        assert self._event.wait(WAIT_SECONDS)
        return b""


def test_a_body_that_stalls_can_be_refused_though_the_upstream_has_responded(
    raw: RawUpstream,
) -> None:
    """Our own response must not have begun; the upstream streams while the body comes."""
    responded = threading.Event()

    def script(upstream: RawUpstream, wire: Wire) -> None:
        read_until(wire.sock, b"\r\n\r\nx")
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        for _ in range(3):
            wire.send(b": hello\n\n")
        responded.set()
        wire.wait_closed()

    raw.script = script
    with pytest.raises(RequestRefused):
        upstream_at(raw.url).send("POST", "/x", [], RequestBody(StalledBody(responded), 9_000, 0))


# ---------------------------------------------------------------- the process's environment


def test_proxies_and_netrc_of_the_process_are_ignored(
    raw: RawUpstream, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login a password b\n")  # type: ignore[operator]
    monkeypatch.setenv("HOME", str(tmp_path))
    assert read(send(upstream_at(raw.url))) == b"ok"
    assert raw.seen[0].get("authorization") is None
