"""What reaches the upstream of the client's body and of the process's environment?"""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Callable

import pytest

from bff.core.errors import BFFError, BodyTooLarge, RequestRefused
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
