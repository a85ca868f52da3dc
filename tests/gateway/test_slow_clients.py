"""When does the wait for a client's body end, and does it end nothing else?"""

from __future__ import annotations

import io
import socket

import pytest

from bff.gateway import granian
from bff.gateway.slow_clients import (
    BODY_BYTES_PER_SECOND,
    BODY_SECONDS,
    BodyDeadlines,
    TimedBody,
    has_body,
)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("size_bytes", "seconds"),
    [(0, BODY_SECONDS), (BODY_BYTES_PER_SECOND * 5, BODY_SECONDS + 5)],
)
def test_a_read_has_the_longer_the_more_it_reads(size_bytes: int, seconds: float) -> None:
    clock, closed = Clock(), []
    deadlines = BodyDeadlines(clock)
    read = deadlines.begin(size_bytes, lambda: closed.append(1))
    clock.now = seconds - 0.1
    assert deadlines.close_late() == 0
    clock.now = seconds
    assert deadlines.close_late() == 1
    assert closed == [1]
    assert not deadlines.end(read), "it was late"
    assert deadlines.close_late() == 0


def test_a_read_that_has_ended_closes_nothing() -> None:
    clock, closed = Clock(), []
    deadlines = BodyDeadlines(clock)
    assert deadlines.end(deadlines.begin(0, lambda: closed.append(1)))
    clock.now = 1e6
    assert deadlines.close_late() == 0
    assert not closed


def test_what_comes_too_late_is_not_used() -> None:
    clock = Clock()
    deadlines = BodyDeadlines(clock)

    class Late(io.BytesIO):
        def read(self, *size_bytes: int | None) -> bytes:
            clock.now += 1e6
            deadlines.close_late()
            return super().read(*size_bytes)

    assert TimedBody(Late(b"abc"), 3, deadlines, lambda: None).read(3) == b""


def test_a_body_in_time_is_read_whole() -> None:
    body = TimedBody(io.BytesIO(b"one\ntwo\n"), 8, BodyDeadlines(), lambda: None)
    assert (body.read(1), body.readline(), list(body)) == (b"o", b"ne\n", [b"two\n"])


@pytest.mark.parametrize("size_bytes", [1, 100, 8_192])
@pytest.mark.parametrize("how", ["read", "readline"])
def test_a_body_that_comes_in_small_pieces_ends_too(size_bytes: int, how: str) -> None:
    """A route of the application's own may read it so; each piece comes just in time."""
    clock = Clock()
    deadlines = BodyDeadlines(clock)

    class Trickling(io.BytesIO):
        def _wait(self) -> None:
            clock.now += BODY_SECONDS - 0.5
            deadlines.close_late()

        def read(self, *size_bytes: int | None) -> bytes:
            self._wait()
            return super().read(*size_bytes)

        def readline(self, *size_bytes: int | None) -> bytes:
            self._wait()
            return super().readline(*size_bytes)

    length = 65_000
    body = TimedBody(Trickling(b"x" * length), length, deadlines, lambda: None)
    while getattr(body, how)(size_bytes):
        pass
    assert clock.now < 2 * BODY_SECONDS + length / BODY_BYTES_PER_SECOND


def test_a_slow_upload_that_never_stalls_goes_on() -> None:
    clock, closed = Clock(), []
    deadlines = BodyDeadlines(clock)

    class Slow(io.BytesIO):
        def read(self, size_bytes: int | None = -1) -> bytes:
            data = super().read(size_bytes)
            clock.now += len(data) / BODY_BYTES_PER_SECOND
            deadlines.close_late()
            return data

    length = 10_000_000
    body = TimedBody(Slow(bytes(length)), length, deadlines, lambda: closed.append(1))
    got = 0
    while data := body.read(131_072):
        got += len(data)
    assert (got, closed) == (length, [])


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, False),
        ({"CONTENT_LENGTH": "0"}, False),
        ({"CONTENT_LENGTH": ""}, False),
        ({"CONTENT_LENGTH": "1"}, True),
        ({"HTTP_TRANSFER_ENCODING": "chunked"}, True),
    ],
)
def test_only_a_body_is_waited_for(environ: dict[str, str], expected: bool) -> None:
    assert has_body(environ) is expected


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="Linux only")
def test_the_kernel_gives_up_what_a_client_does_not_read() -> None:
    """A connection inherits it from the socket that accepted it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        granian.give_up_unread(7)
        with socket.create_connection(listener.getsockname()), listener.accept()[0] as accepted:
            found = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
    assert found == 7000
