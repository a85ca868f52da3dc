"""How does a test get an upstream that sees every byte and can break every rule of HTTP?"""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType

WAIT_SECONDS = 15.0
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass
class Seen:
    """One request as it was received."""

    head: bytes
    """Request line and headers, with the empty line."""
    body: bytes = b""
    """Decoded if it was chunked."""
    complete: bool = True
    """False if the connection closed before the end of the body."""
    connection: int = 0
    """The number of its connection, from 0."""

    @property
    def method(self) -> str:
        """As in the request line."""
        return self.head.split(b" ", 1)[0].decode("latin-1")

    @property
    def target(self) -> str:
        """As in the request line."""
        return self.head.split(b" ", 2)[1].decode("latin-1")

    @property
    def fields(self) -> list[tuple[str, str]]:
        """Names in lower case, in order."""
        lines = self.head.decode("latin-1").split("\r\n")[1:-2]
        pairs = (line.partition(":") for line in lines)
        return [(name.lower(), value.strip()) for name, _, value in pairs]

    def get(self, name: str) -> str | None:
        """The value of the only header of that name, or None."""
        found = [value for key, value in self.fields if key == name]
        assert len(found) <= 1, found
        return found[0] if found else None


@dataclass
class Wire:
    """One accepted connection, used by a script."""

    sock: socket.socket
    number: int
    _buffer: bytes = b""
    closed: threading.Event = field(default_factory=threading.Event)
    """Set when the client has closed the connection."""
    busy: bool = False
    """Whether a request has begun and its response isn't sent."""

    def read_request(self) -> Seen | None:
        """The next request with its body, or None if the client closed the connection."""
        self.busy = False
        while b"\r\n\r\n" not in self._buffer:
            if not self._fill():
                return None
        self.busy = True
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        seen = Seen(head + b"\r\n\r\n", connection=self.number)
        try:
            seen.body = self._body(seen)
        except EOFError as broken:
            seen.body, seen.complete = broken.args[0], False
        return seen

    def _body(self, seen: Seen) -> bytes:
        if seen.get("transfer-encoding") == "chunked":
            return self._chunks()
        return self._exactly(int(seen.get("content-length") or 0))

    def _chunks(self) -> bytes:
        body = b""
        try:
            while size := int(self._line(), 16):
                body += self._exactly(size)
                self._line()
            self._line()
        except EOFError as broken:
            raise EOFError(body + broken.args[0]) from None
        return body

    def _line(self) -> bytes:
        while b"\r\n" not in self._buffer:
            if not self._fill():
                raise EOFError(b"")
        line, _, self._buffer = self._buffer.partition(b"\r\n")
        return line

    def _exactly(self, count: int) -> bytes:
        parts = []
        while count > len(self._buffer):
            parts.append(self._buffer)
            count -= len(self._buffer)
            self._buffer = b""
            if not self._fill():
                raise EOFError(b"".join(parts))
        parts.append(self._buffer[:count])
        self._buffer = self._buffer[count:]
        return b"".join(parts)

    def _fill(self) -> bool:
        try:
            data = self.sock.recv(262_144)
        except OSError:
            data = b""
        if not data:
            self.closed.set()
        self._buffer += data
        return bool(data)

    def send(self, data: bytes) -> None:
        """Send all of *data*."""
        self.sock.sendall(data)

    def wait_closed(self) -> None:
        """Read until the client closes the connection."""
        while self._fill():
            self._buffer = b""

    def reset(self) -> None:
        """Close with a TCP reset."""
        linger = (1).to_bytes(4, "little") + (0).to_bytes(4, "little")
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.sock.close()


Script = Callable[["RawUpstream", Wire], None]


def responding(response: bytes = RESPONSE) -> Script:
    """A script that sends every request the same response and keeps the connection open."""

    def script(upstream: RawUpstream, wire: Wire) -> None:
        while seen := wire.read_request():
            upstream.note(seen)
            if not seen.complete:
                return
            head, end, _ = response.partition(b"\r\n\r\n")
            wire.send(head + end if seen.method == "HEAD" else response)

    return script


class RawUpstream:
    """Listens on a free port (or on *port*) and runs *script* in a thread for every connection.

    The script can be replaced at any time, for connections that are accepted from then on. An
    exception in a script is raised again at the end of the test.
    """

    def __init__(self, script: Script | None = None, port: int = 0) -> None:
        self.script: Script = script or responding()
        self.seen: list[Seen] = []
        self.wires: list[Wire] = []
        self.problems: list[BaseException] = []
        self._changed = threading.Condition()
        self._listener = socket.create_server(("127.0.0.1", port), backlog=512)
        self.port: int = self._listener.getsockname()[1]
        self._numbers = itertools.count()
        self._threads: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept, daemon=True)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> RawUpstream:
        self._accepting.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # A blocked accept() doesn't return when its socket is closed; shutdown() wakes it.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join(WAIT_SECONDS)
        for wire in self.wires:
            with contextlib.suppress(OSError):
                wire.sock.shutdown(socket.SHUT_RDWR)
            wire.sock.close()
        for thread in self._threads:
            thread.join(WAIT_SECONDS)
        if kind is None and self.problems:
            raise self.problems[0]

    def note(self, seen: Seen) -> None:
        """Record a request, and wake the threads that wait for it."""
        with self._changed:
            self.seen.append(seen)
            self._changed.notify_all()

    def forget(self) -> None:
        """Begin a new list of requests."""
        with self._changed:
            self.seen = []

    def in_progress(self) -> int:
        """How many requests have begun whose response isn't sent, if the script answers in turn."""
        return sum(wire.busy for wire in self.wires)

    def drop_connections(self) -> None:
        """Close all connections, so that the next request opens a new one with a new script."""
        for wire in self.wires:
            with contextlib.suppress(OSError):
                wire.sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(WAIT_SECONDS)
        self.wires.clear()
        self._threads.clear()

    def wait_for(self, count: int, timeout_seconds: float = WAIT_SECONDS) -> list[Seen]:
        """Wait until *count* requests have been recorded."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.seen) >= count, timeout_seconds), (
                f"{len(self.seen)} of {count} requests came"
            )
            return list(self.seen)

    def wait_for_connection(self, timeout_seconds: float = WAIT_SECONDS) -> Wire:
        """Wait until a client has connected."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.wires, timeout_seconds), (
                "no client connected"
            )
            return self.wires[-1]

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            wire = Wire(sock, next(self._numbers))
            with self._changed:
                self.wires.append(wire)
                self._changed.notify_all()
            thread = threading.Thread(target=self._run, args=(wire,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _run(self, wire: Wire) -> None:
        try:
            self.script(self, wire)
        except (ConnectionError, BrokenPipeError):
            pass
        except BaseException as problem:
            self.problems.append(problem)
        finally:
            wire.busy = False
            wire.sock.close()
