"""How a request is sent: how often, with which timeouts, and what counts as a response."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress

import pytest

from bff.core.errors import UpstreamTimeout, UpstreamUnreachable
from bff.gateway.curl_connection import CurlConnection
from bff.gateway.upstream_pool import UpstreamAddress
from tests.gateway.upstream_requests import read, send, upstream_at
from tests.support.processes import free_port
from tests.support.raw_upstream import RESPONSE, RawUpstream, Wire, responding

TIMEOUT_SECONDS = 2.0

# ---------------------------------------------------------------- how often


def acts_and_hangs_up(upstream: RawUpstream, wire: Wire) -> None:
    """Respond to the first request on a connection, read the second, and close."""
    for response in (RESPONSE, b""):
        seen = wire.read_request()
        if seen is None:
            return
        upstream.note(seen)
        if response:
            wire.send(response)


@pytest.mark.parametrize(
    ("method", "body"),
    [("POST", b"one"), ("POST", b""), ("DELETE", None), ("PATCH", b"x"), ("PUT", b"y" * 200_000)],
)
def test_a_write_that_may_have_had_an_effect_is_sent_once(
    raw: RawUpstream, method: str, body: bytes | None
) -> None:
    """libcurl by itself would send it again on a new connection."""
    raw.script = acts_and_hangs_up
    upstream = upstream_at(raw.url)
    assert read(send(upstream)) == b"ok"
    with pytest.raises(UpstreamUnreachable):
        send(upstream, method, body)
    assert [(seen.method, seen.connection) for seen in raw.seen] == [("GET", 0), (method, 0)]


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_a_read_is_repeated_once(raw: RawUpstream, method: str) -> None:
    raw.script = acts_and_hangs_up
    upstream = upstream_at(raw.url)
    assert read(send(upstream)) == b"ok"
    assert send(upstream, method).head.status == 200
    assert [seen.connection for seen in raw.seen] == [0, 0, 1]


def test_a_read_on_a_new_connection_is_not_repeated(raw: RawUpstream) -> None:
    def hangs_up(upstream: RawUpstream, wire: Wire) -> None:
        seen = wire.read_request()
        assert seen is not None
        upstream.note(seen)

    raw.script = hangs_up
    with pytest.raises(UpstreamUnreachable):
        send(upstream_at(raw.url))
    assert len(raw.seen) == 1


def test_a_write_on_a_stale_connection_gets_a_new_one(raw: RawUpstream) -> None:
    """The upstream closed an idle connection; the write must not fail for that."""
    closed = threading.Event()

    def once(upstream: RawUpstream, wire: Wire) -> None:
        seen = wire.read_request()
        assert seen is not None
        upstream.note(seen)
        wire.send(RESPONSE)
        wire.sock.shutdown(socket.SHUT_RDWR)
        wire.sock.close()
        closed.set()

    raw.script = once
    upstream = upstream_at(raw.url)
    for _ in range(3):
        closed.clear()
        assert read(send(upstream, "POST", b"x")) == b"ok"
        assert closed.wait(5)
    assert [seen.connection for seen in raw.seen] == [0, 1, 2]


def test_connections_are_reused(raw: RawUpstream) -> None:
    upstream = upstream_at(raw.url)
    for method, body in [("GET", None), ("POST", b"abc"), ("HEAD", None), ("DELETE", None)]:
        send(upstream, method, body).close()
    assert {seen.connection for seen in raw.seen} == {0}
    assert [seen.method for seen in raw.seen] == ["GET", "POST", "HEAD", "DELETE"]


def test_a_connection_that_can_not_be_opened_is_tried_once_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first attempt is refused; the listener is there for the second."""
    tried = []
    take = UpstreamAddress.take

    def counting(self: UpstreamAddress, *, repeatable: bool) -> CurlConnection:
        tried.append(1)
        return take(self, repeatable=repeatable)

    monkeypatch.setattr(UpstreamAddress, "take", counting)
    upstream = upstream_at(f"http://127.0.0.1:{free_port()}")
    started = time.monotonic()
    with pytest.raises(UpstreamUnreachable):
        send(upstream, "POST", b"x")
    assert len(tried) == 2
    assert time.monotonic() - started < 5, "nothing is waited for"


# ---------------------------------------------------------------- how long


def test_no_response_in_time_is_a_504(raw: RawUpstream) -> None:
    raw.script = lambda upstream, wire: wire.wait_closed()
    started = time.monotonic()
    with pytest.raises(UpstreamTimeout):
        send(upstream_at(raw.url, 0.5))
    assert 0.4 < time.monotonic() - started < 5
    assert raw.wires[0].closed.wait(5)


def test_a_connection_that_hangs_is_a_504() -> None:
    """A full backlog drops what comes, as a firewall would."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        started = time.monotonic()
        try:
            with pytest.raises(UpstreamTimeout):
                send(upstream_at(f"http://127.0.0.1:{port}", 0.6))
        finally:
            for filler in fillers:
                filler.close()
        assert time.monotonic() - started < 6


def test_a_silent_response_may_last_longer_than_the_timeout(raw: RawUpstream) -> None:
    go_on = threading.Event()

    def script(upstream: RawUpstream, wire: Wire) -> None:
        wire.read_request()
        wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
        assert go_on.wait(10)
        wire.send(b"1\r\nb\r\n0\r\n\r\n")

    raw.script = script
    exchange = send(upstream_at(raw.url, TIMEOUT_SECONDS))
    assert next(exchange) == b"a"
    silent_since = time.monotonic()
    while time.monotonic() - silent_since <= TIMEOUT_SECONDS:
        assert next(exchange) == b""
    go_on.set()
    assert b"".join(exchange) == b"b"


# ---------------------------------------------------------------- what counts as a response

BROKEN_RESPONSES = {
    "closed at once": b"",
    "rubbish": b"SSH-2.0-OpenSSH_9.2\r\n",
    "HTTP/0.9": b"<html>hello</html>",
    "broken off in the headers": b"HTTP/1.1 200 OK\r\nContent-Le",
    "no end of headers": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
    "list of lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\nabc",
    "negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nabc",
    "length in words": b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nok",
    "length with plus": b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
    "endless length": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nok",
    "length and chunks": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "unknown coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: rot13\r\n\r\nbx",
    "gzip coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "bad chunk size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nok\r\n0\r\n\r\n",
    "short body, closed": b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nok",
    "chunks without end": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
    "no colon": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nnonsense\r\n\r\nok",
    "blank before colon": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A : b\r\n\r\nok",
    "bare CR in a value": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: b\rX-B: c\r\n\r\nok",
    "NUL in a value": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: b\0c\r\n\r\nok",
    "control in a value": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: b\x1bc\r\n\r\nok",
    "headers too large": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
    + b"".join(b"X-%d: %s\r\n" % (n, b"v" * 1000) for n in range(70))
    + b"\r\nok",
    "one huge header": b"HTTP/1.1 200 OK\r\nX: " + b"v" * 400_000 + b"\r\n\r\nok",
    "101 unasked": b"HTTP/1.1 101 Switch\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nok",
    "status 600": b"HTTP/1.1 600 Odd\r\nContent-Length: 2\r\n\r\nok",
    "status 99": b"HTTP/1.1 099 Odd\r\nContent-Length: 2\r\n\r\nok",
    "status in words": b"HTTP/1.1 abc Odd\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/2 preface": b"HTTP/2 200\r\nContent-Length: 2\r\n\r\nok",
}  # fmt: skip


@pytest.mark.parametrize("response", BROKEN_RESPONSES.values(), ids=BROKEN_RESPONSES)
def test_a_response_that_violates_http_is_a_502(raw: RawUpstream, response: bytes) -> None:
    def script(upstream: RawUpstream, wire: Wire) -> None:
        wire.read_request()
        wire.send(response)
        with suppress(OSError):  # The other side may have closed by now.
            wire.sock.shutdown(socket.SHUT_WR)
        wire.wait_closed()

    raw.script = script
    upstream = upstream_at(raw.url)
    with pytest.raises(UpstreamUnreachable):
        read(send(upstream))
    raw.script = responding()
    assert read(send(upstream)) == b"ok", "the next request must not suffer"


GOOD_RESPONSES = {
    "length": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, b"ok"),
    "twice the same length": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok", 200, b"ok"),
    "chunks and trailers": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n"
        b"HTTP/1.1 500: no\r\n\r\n", 200, b"ok"),
    "until closed": (b"HTTP/1.0 200 OK\r\n\r\nok", 200, b"ok"),
    "nothing": (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
    "100 before": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, b"ok"),
    "103 before": (
        b"HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, b"ok"),
    "no phrase": (b"HTTP/1.1 404\r\nContent-Length: 2\r\n\r\nok", 404, b"ok"),
    "a redirect, not followed": (
        b"HTTP/1.1 302 Found\r\nLocation: /y\r\nContent-Length: 0\r\n\r\n", 302, b""),
    "gzip, not unpacked": (
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n\x1f\x8b",
        200, b"\x1f\x8b"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("response", "status", "body"), GOOD_RESPONSES.values(), ids=GOOD_RESPONSES
)
def test_a_response_is_read_to_its_end(
    raw: RawUpstream, response: bytes, status: int, body: bytes
) -> None:
    def script(upstream: RawUpstream, wire: Wire) -> None:
        seen = wire.read_request()
        assert seen is not None
        upstream.note(seen)
        wire.send(response)
        # The other side may have closed already.
        with suppress(OSError):
            wire.sock.shutdown(socket.SHUT_WR)
        wire.wait_closed()

    raw.script = script
    exchange = send(upstream_at(raw.url))
    assert (exchange.head.status, read(exchange)) == (status, body)
    assert len(raw.seen) == 1
    assert [name for name, _ in exchange.head.headers].count("content-length") <= 1
    assert "link" not in dict(exchange.head.headers)


def test_a_response_that_breaks_off_later_raises_in_the_middle(raw: RawUpstream) -> None:
    go_on = threading.Event()

    def script(upstream: RawUpstream, wire: Wire) -> None:
        wire.read_request()
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nok")
        assert go_on.wait(10)

    raw.script = script
    exchange = send(upstream_at(raw.url))
    assert next(exchange) == b"ok"
    go_on.set()
    with pytest.raises(UpstreamUnreachable):
        list(exchange)


def test_an_abandoned_response_closes_its_connection(raw: RawUpstream) -> None:
    def script(upstream: RawUpstream, wire: Wire) -> None:
        wire.read_request()
        wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
        wire.wait_closed()

    raw.script = script
    exchange = send(upstream_at(raw.url))
    assert next(exchange) == b"a"
    exchange.close()
    assert raw.wires[0].closed.wait(5)


def test_nothing_is_read_ahead_of_the_client(raw: RawUpstream) -> None:
    """Unless the client reads, the upstream can't send more than the sockets buffer."""
    sent = [0]
    blocked = threading.Event()

    def script(upstream: RawUpstream, wire: Wire) -> None:
        wire.read_request()
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        wire.sock.settimeout(0.5)
        try:
            while True:
                sent[0] += wire.sock.send(b"x" * 65_536)
        except TimeoutError:
            blocked.set()

    raw.script = script
    exchange = send(upstream_at(raw.url))
    next(exchange)
    assert blocked.wait(10)
    assert sent[0] < 30_000_000
    exchange.close()
