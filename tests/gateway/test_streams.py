"""Bodies stream both ways in constant memory; a client that disconnects releases the upstream."""

from __future__ import annotations

import json
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.gateway.conftest import APP, UPSTREAM_TIMEOUT_SECONDS, RunningProxy
from tests.support import raw_client
from tests.support.raw_upstream import WAIT_SECONDS, RawUpstream, Wire
from tests.support.scale import rounds
from tests.support.servers import start_server
from tests.support.waiting import wait_for

LARGE_BYTES = rounds(1024**3, 160 * 1024**2)
MEMORY_BYTES = min(100 * 1024**2, LARGE_BYTES // 2)
RELEASED_SECONDS = 5.0
EVENT_SECONDS = 0.2
PIECE = b"0123456789abcdef" * 4096


def sse(upstream: RawUpstream, connection: Wire) -> None:
    """The head of an event stream and one event, then silence."""
    seen = connection.read_request()
    assert seen is not None
    connection.send(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n10\r\ndata: first!!!\n\n\r\n"
    )
    upstream.note(seen)
    connection.wait_closed()


def open_stream(proxy: RunningProxy) -> socket.socket:
    sock = raw_client.connect(proxy.port)
    sock.sendall(b"GET /api/events HTTP/1.1\r\nHost: app.test\r\n\r\n")
    assert b"data: first" in raw_client.read_until(sock, b"first!!!\n\n")
    return sock


def test_an_event_arrives_as_it_is_sent(proxy: RunningProxy) -> None:
    sent_at: list[float] = []
    took: list[float] = []
    go_on = threading.Semaphore(0)

    def script(upstream: RawUpstream, connection: Wire) -> None:
        connection.read_request()
        connection.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        for number in range(5):
            assert go_on.acquire(timeout=10)
            sent_at.append(time.monotonic())
            connection.send(b"9\r\ndata: %d\n\n\r\n" % number)
        connection.send(b"0\r\n\r\n")

    proxy.raw.script = script
    with raw_client.connect(proxy.port) as sock:
        sock.sendall(b"GET /api/events HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        got = b""
        for number in range(5):
            go_on.release()
            got += raw_client.read_until(sock, b"data: %d\n\n" % number)
            took.append(time.monotonic() - sent_at[number])
        assert (got + raw_client.read_all(sock).raw).endswith(b"0\r\n\r\n")
    # A busy machine delays one of them; buffering or polling would delay each.
    assert statistics.median(took) < EVENT_SECONDS, took


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_client_that_disconnects_releases_a_silent_stream(proxy: RunningProxy, how: str) -> None:
    proxy.raw.script = sse
    sock = open_stream(proxy)
    (connection,) = proxy.raw.wires
    assert not connection.closed.wait(1.5), "the stream stays while the client does"
    if how == "reset":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    sock.close()
    left_at = time.monotonic()
    assert connection.closed.wait(RELEASED_SECONDS + 5)
    assert time.monotonic() - left_at < RELEASED_SECONDS


def test_a_client_that_aborts_a_download_releases_the_upstream(proxy: RunningProxy) -> None:
    def script(upstream: RawUpstream, connection: Wire) -> None:
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n")
        try:
            while True:
                connection.send(PIECE)
        except OSError:
            connection.closed.set()

    proxy.raw.script = script
    sock = raw_client.connect(proxy.port)
    sock.sendall(b"GET /api/x HTTP/1.1\r\nHost: x\r\n\r\n")
    sock.recv(100_000)
    sock.close()
    assert proxy.raw.wires[0].closed.wait(RELEASED_SECONDS)


def test_a_client_that_aborts_an_upload_breaks_it_off(proxy: RunningProxy) -> None:
    with raw_client.connect(proxy.port) as sock:
        sock.sendall(b"POST /api/x HTTP/1.1\r\nHost: x\r\nContent-Length: 500000\r\n\r\n" + PIECE)
    (seen,) = proxy.raw.wait_for(1)
    assert not seen.complete


CHUNKED = b"POST /api/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"


@pytest.mark.parametrize("running", ["gunicorn"], indirect=True)
def test_a_client_that_aborts_a_chunked_upload_breaks_it_off(proxy: RunningProxy) -> None:
    with raw_client.connect(proxy.port) as sock:
        sock.sendall(CHUNKED + b"\r\n10000\r\n" + PIECE + b"\r\n")
        proxy.raw.wait_for_connection()
    (seen,) = proxy.raw.wait_for(1)
    assert not seen.complete


@pytest.mark.parametrize("running", ["gunicorn"], indirect=True)
def test_a_chunked_upload_arrives_complete(proxy: RunningProxy) -> None:
    pieces = [b"10000\r\n" + PIECE + b"\r\n"] * 8
    received = raw_client.send(
        proxy.port, CHUNKED + b"Connection: close\r\n\r\n", *pieces, b"0\r\n\r\n"
    )
    assert received.status == 200
    (seen,) = proxy.raw.wait_for(1)
    assert seen.complete
    assert seen.body == PIECE * 8


@pytest.mark.parametrize("running", ["granian"], indirect=True)
def test_a_chunked_upload_is_refused_where_its_end_can_t_be_trusted(proxy: RunningProxy) -> None:
    """Granian reports a chunked body that broke off as complete."""
    received = raw_client.send(
        proxy.port, CHUNKED + b"Connection: close\r\n\r\n", b"3\r\nabc\r\n0\r\n\r\n"
    )
    assert received.status == 411
    assert b"length_required" in received.body
    assert proxy.raw.seen == []


LOGGED = "a response on /api broke off"
IN_CHUNKS = b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"


def broken_off(proxy: RunningProxy, rest: bytes) -> raw_client.Received:
    """What a client gets of a response that breaks off after *rest*, once the client has that.

    Not before: while nothing has been passed on, it would get a 502.
    It returns once the log has it.
    """
    before = proxy.server.output.count(LOGGED)
    go_on = threading.Event()

    def script(upstream: RawUpstream, connection: Wire) -> None:
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\n" + rest)
        assert go_on.wait(WAIT_SECONDS)

    proxy.raw.script = script
    with raw_client.connect(proxy.port) as sock:
        sock.sendall(b"GET /api/x HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n")
        begun = raw_client.read_until(sock, b"abc")
        go_on.set()
        ended = raw_client.read_all(sock)
    wait_for(lambda: proxy.server.output.count(LOGGED) > before, "the line")
    return raw_client.Received(begun + ended.raw, ended.reset)


def test_a_response_of_known_length_that_breaks_off_breaks_the_clients_connection(
    proxy: RunningProxy,
) -> None:
    received = broken_off(proxy, b"Content-Length: 1000\r\n\r\n" + b"x" * 497 + b"abc")
    assert received.status == 200
    assert not received.complete


def test_a_chunked_response_that_breaks_off_breaks_the_clients_connection(
    proxy: RunningProxy,
) -> None:
    """Granian would end it as if it were complete."""
    received = broken_off(proxy, IN_CHUNKS)
    assert received.status == 200
    assert not received.complete


@pytest.mark.parametrize(
    "rest",
    [IN_CHUNKS, b"Content-Length: 1000\r\n\r\n" + b"x" * 497 + b"abc"],
    ids=["in chunks", "of known length"],
)
@pytest.mark.parametrize("others", [0, 1], ids=["the only connection", "one of several"])
def test_a_response_that_breaks_off_is_one_line_in_the_log(
    proxy: RunningProxy, rest: bytes, others: int
) -> None:
    """A deployment with many streams would drown in tracebacks."""
    with ExitStack() as stack:
        for _ in range(others):
            other = stack.enter_context(raw_client.connect(proxy.port))
            other.sendall(b"GET /memory HTTP/1.1\r\nHost: x\r\n\r\n")
            raw_client.read_until(other, b"}")
        before = len(proxy.server.output)
        received = broken_off(proxy, rest)
        assert not received.complete or (others and rest is IN_CHUNKS)
    logged = proxy.server.output[before:]
    assert logged.count(LOGGED) == 1
    assert "Traceback" not in logged
    assert "ERROR" not in logged.upper()


def test_of_several_connections_none_is_broken(proxy: RunningProxy) -> None:
    """Granian doesn't tell which one it is; the others must not be broken."""
    with raw_client.connect(proxy.port) as other:
        other.sendall(b"GET /memory HTTP/1.1\r\nHost: x\r\n\r\n")
        raw_client.read_until(other, b"}")
        received = broken_off(proxy, IN_CHUNKS)
        assert received.complete == ("granian" in proxy.server.name)
        other.sendall(b"GET /memory HTTP/1.1\r\nHost: x\r\n\r\n")
        raw_client.read_until(other, b"}")


def memory(server_port: int) -> int:
    body = raw_client.request(server_port, "/memory").body
    return int(json.loads(body)["rss_bytes"])


@contextmanager
def watched(port: int) -> Iterator[list[int]]:
    """The server's memory, measured repeatedly; it must run until the end of the block."""
    seen, done = [memory(port)], threading.Event()

    def watch() -> None:
        while not done.wait(0.2):
            seen.append(memory(port))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_a_large_download_takes_no_memory(proxy: RunningProxy, framing: str) -> None:
    count = LARGE_BYTES // len(PIECE)

    def script(upstream: RawUpstream, connection: Wire) -> None:
        connection.read_request()
        if framing == "length":
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % LARGE_BYTES)
        else:
            connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        piece = PIECE if framing == "length" else b"10000\r\n" + PIECE + b"\r\n"
        for _ in range(count):
            connection.send(piece)
        if framing == "chunks":
            connection.send(b"0\r\n\r\n")
        connection.wait_closed()

    proxy.raw.script = script
    got = 0
    with watched(proxy.port) as seen, raw_client.connect(proxy.port) as sock:
        sock.sendall(b"GET /api/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        # The client is slower than the upstream, so that a buffer would grow.
        while data := sock.recv(1_000_000):
            got += len(data)
            if got < 20_000_000:
                time.sleep(0.005)
    assert got >= LARGE_BYTES
    assert max(seen) - seen[0] < MEMORY_BYTES


def large_upload(framing: str) -> tuple[bytes, list[bytes]]:
    """Head and pieces of a request."""
    head = b"POST /api/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    count = LARGE_BYTES // len(PIECE)
    if framing == "length":
        return head + b"Content-Length: %d\r\n\r\n" % LARGE_BYTES, [PIECE] * count
    chunks = [b"10000\r\n" + PIECE + b"\r\n"] * count
    return head + b"Transfer-Encoding: chunked\r\n\r\n", [*chunks, b"0\r\n\r\n"]


@pytest.mark.parametrize(
    ("kind", "framing"), [("granian", "length"), ("gunicorn", "length"), ("gunicorn", "chunks")]
)
def test_a_large_upload_takes_no_memory(kind: str, framing: str) -> None:
    received = [0]

    def script(upstream: RawUpstream, connection: Wire) -> None:
        end = b"0\r\n\r\n" if framing == "chunks" else None
        tail = b""
        while True:
            data = connection.sock.recv(262_144)
            received[0] += len(data)
            tail = (tail + data)[-5:]
            if received[0] < 20_000_000:
                time.sleep(0.002)
            if tail == end or (end is None and received[0] > LARGE_BYTES):
                break
            if not data:
                return
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        connection.wait_closed()

    with RawUpstream(script) as raw:
        env = {"BFF_API_URL": raw.url, "BFF_REQUEST_MAX_BYTES": "0"}
        # The measuring must end before the server does.
        with start_server(kind, APP, env=env) as server, watched(server.port) as seen:
            head, pieces = large_upload(framing)
            assert raw_client.send(server.port, head, *pieces).status == 200
    assert max(seen) - seen[0] < MEMORY_BYTES
    assert received[0] > LARGE_BYTES


def test_a_slow_response_to_a_disconnected_client_ends_with_the_timeout(
    proxy: RunningProxy,
) -> None:
    """Before the head of the response, Granian can't tell that the client has disconnected."""
    proxy.raw.script = lambda upstream, connection: connection.wait_closed()
    with raw_client.connect(proxy.port) as sock:
        sock.sendall(b"GET /api/slow HTTP/1.1\r\nHost: x\r\n\r\n")
        proxy.raw.wait_for_connection()
    assert proxy.raw.wires[0].closed.wait(UPSTREAM_TIMEOUT_SECONDS + WAIT_SECONDS)


assert Path("/proc/self/statm").exists(), "memory is read the Linux way"
