"""How long may a client take to send a request's body, and to read a response?

A thread waits for each, and neither server has a deadline for a body. So every read of a body gets
one here, and all reads of it together, too; when it is over, the connection is closed. A response
that the client doesn't read at all is given up by the kernel. Source: RFC 9110, 15.5.9; RFC 5482.
"""

from __future__ import annotations

import contextlib
import math
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from bff.core.background import Background
from bff.core.work_slots import Waiting
from bff.gateway import granian

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

BODY_SECONDS = 10.0
"""For a read of a body; the more bytes are read, the longer it may take."""
BODY_BYTES_PER_SECOND = 4096
GRACE_BYTES = 65_536
"""For each so many bytes of a body its client may stall for `BODY_SECONDS` once."""
UNREAD_SECONDS = 60
"""How long a client may read nothing of a response; as nginx by default (`send_timeout`)."""
CHECK_SECONDS = 0.5
TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
"""A proxy in front must not take us for broken."""
ANY_LENGTH_BYTES = 65_536
"""For a body without a Content-Length."""


class BodyDeadlines:
    """The reads of bodies under way, each with its end; safe for threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._reads: dict[object, tuple[float, Callable[[], object]]] = {}

    def now(self) -> float:
        """The instant, by the clock of the deadlines."""
        return self._clock()

    def begin(
        self, size_bytes: int, close: Callable[[], object], seconds_max: float = math.inf
    ) -> object:
        """A read begins: *close* is called if it lasts too long. Returns its name, for `end`."""
        read = object()
        seconds = BODY_SECONDS + size_bytes / BODY_BYTES_PER_SECOND
        self._reads[read] = self._clock() + min(seconds, seconds_max), close
        return read

    def end(self, read: object) -> bool:
        """The read is over; returns whether it was in time."""
        return self._reads.pop(read, None) is not None

    def close_late(self) -> int:
        """Close the connections of reads whose time is over; returns how many."""
        now = self._clock()
        late = [read for read, (end_at, _) in list(self._reads.items()) if end_at <= now]
        # None: it has ended just now.
        closing = [found for read in late if (found := self._reads.pop(read, None))]
        for _, close in closing:
            close()
        return len(closing)


class TimedBody:
    """`wsgi.input` with deadlines. When one is over, a read ends as if the client had left.

    Args:
        stream: The server's.
        length_bytes: Of the whole body, as far as it is known.
        deadlines: Has the reads of all requests.
        close: Closes the client's connection, from any thread.
    """

    def __init__(
        self,
        stream: Any,
        length_bytes: int,
        deadlines: BodyDeadlines,
        close: Callable[[], object],
    ) -> None:
        self._stream = stream
        self._length_bytes = length_bytes
        self._deadlines = deadlines
        self._close = close
        self._read_bytes = 0
        self._waited_seconds = 0.0

    def read(self, *size_bytes: int) -> bytes:
        """That many bytes, or all; fewer only at the end."""
        return self._in_time(self._stream.read, *size_bytes)

    def readline(self, *size_bytes: int) -> bytes:
        """The next line, or that many bytes of it."""
        return self._in_time(self._stream.readline, *size_bytes)

    def readlines(self, *_: int) -> list[bytes]:
        """All lines."""
        return list(self)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")

    def _in_time(self, read: Callable[..., bytes], *size_bytes: int) -> bytes:
        expected = min([self._length_bytes, *(size for size in size_bytes if size >= 0)])
        with Waiting():
            began_at = self._deadlines.now()
            name = self._deadlines.begin(expected, self._close, self._seconds_left(expected))
            try:
                data = read(*size_bytes)
            finally:
                in_time = self._deadlines.end(name)
                self._waited_seconds += self._deadlines.now() - began_at
        self._read_bytes += len(data)
        return data if in_time else b""

    def _seconds_left(self, expected_bytes: int) -> float:
        """Else a body that is read by the byte could come by the byte, each just in time."""
        graces = 1 + self._read_bytes // GRACE_BYTES
        sent_seconds = (self._read_bytes + expected_bytes) / BODY_BYTES_PER_SECOND
        return graces * BODY_SECONDS + sent_seconds - self._waited_seconds


class SlowClients:
    """A WSGI layer: bounds how long a request waits for its client.

    Args:
        application: The next layer.
        deadlines: Of the bodies; something must call their `close_late`.
    """

    def __init__(self, application: WSGIApplication, deadlines: BodyDeadlines) -> None:
        self._next = application
        self._deadlines = deadlines
        self._first_request = threading.Lock()

    @classmethod
    def watched(cls, application: WSGIApplication) -> tuple[SlowClients, Background]:
        """The layer, and the thread that closes what is late; it isn't started yet."""
        deadlines = BodyDeadlines()
        return cls(application, deadlines), Background([(CHECK_SECONDS, deadlines.close_late)])

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request (PEP 3333)."""
        if self._first_request.acquire(blocking=False):
            # Only now it is certain that the server listens.
            granian.give_up_unread(UNREAD_SECONDS)
        if has_body(environ):
            close = _connection_closer(environ)
            if close is not None:
                stream, length = environ["wsgi.input"], _length(environ)
                environ["wsgi.input"] = TimedBody(stream, length, self._deadlines, close)
        return self._next(environ, start_response)


def has_body(environ: WSGIEnvironment) -> bool:
    """Whether the request announces a body."""
    return (
        environ.get("CONTENT_LENGTH", "0") not in ("", "0") or "HTTP_TRANSFER_ENCODING" in environ
    )


def _length(environ: WSGIEnvironment) -> int:
    text = environ.get("CONTENT_LENGTH", "")
    # A length that isn't a number is refused where the body is read.
    return int(text) if text.isascii() and text.isdigit() else ANY_LENGTH_BYTES


def _connection_closer(environ: WSGIEnvironment) -> Callable[[], object] | None:
    """What closes the connection of the request; None under a server that offers no way."""
    if granian.serves(environ):
        return granian.connection_closer()
    sock: socket.socket | None = environ.get("gunicorn.socket")
    if sock is None:
        return None

    def close() -> None:
        with contextlib.suppress(OSError):
            sock.sendall(TOO_SLOW)
            sock.shutdown(socket.SHUT_RDWR)

    return close
