"""How does a test send requests that no library would send? With plain sockets."""

from __future__ import annotations

import socket
from dataclasses import dataclass

TIMEOUT_SECONDS = 30.0


@dataclass
class Received:
    """The bytes that came until the server closed the connection."""

    raw: bytes
    reset: bool = False

    @property
    def status(self) -> int:
        """The status of the last response; 0 if none came."""
        heads = [part for part in self.raw.split(b"\r\n") if part.startswith(b"HTTP/1.")]
        return int(heads[-1][9:12]) if heads else 0

    @property
    def fields(self) -> dict[str, str]:
        """The headers of the only response; values of the same name are joined with a bar."""
        found: dict[str, str] = {}
        for line in self.raw.split(b"\r\n\r\n", 1)[0].decode("latin-1").split("\r\n")[1:]:
            name, _, value = line.partition(":")
            name, value = name.lower(), value.strip()
            found[name] = f"{found[name]}|{value}" if name in found else value
        return found

    @property
    def body(self) -> bytes:
        """The raw body, with its chunk headers."""
        return self.raw.partition(b"\r\n\r\n")[2]

    @property
    def complete(self) -> bool:
        """Whether the response is complete by its framing."""
        length = self.fields.get("content-length")
        if length is not None:
            return len(self.body) == int(length)
        if self.fields.get("transfer-encoding") == "chunked":
            return self.body.endswith(b"0\r\n\r\n")
        return not self.reset


def connect(port: int) -> socket.socket:
    """A connection to a server of this machine."""
    sock = socket.create_connection(("127.0.0.1", port), TIMEOUT_SECONDS)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def read_all(sock: socket.socket) -> Received:
    """Read until the server closes the connection."""
    parts: list[bytes] = []
    while True:
        try:
            data = sock.recv(262_144)
        except ConnectionResetError:
            return Received(b"".join(parts), reset=True)
        if not data:
            return Received(b"".join(parts))
        parts.append(data)


def read_until(sock: socket.socket, text: bytes) -> bytes:
    """Read until *text* has come."""
    got = b""
    while text not in got:
        data = sock.recv(65_536)
        assert data, f"closed before {text!r} came: {got!r}"
        got += data
    return got


def send(port: int, *pieces: bytes) -> Received:
    """Send the bytes and read until the server closes the connection."""
    with connect(port) as sock:
        try:
            for piece in pieces:
                sock.sendall(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass
        return read_all(sock)


def request(
    port: int,
    target: str | bytes = "/api/x",
    *fields: str,
    method: str = "GET",
    body: bytes = b"",
) -> Received:
    """Send one request on a new connection."""
    raw = target.encode("latin-1") if isinstance(target, str) else target
    lines = [b"%s %s HTTP/1.1" % (method.encode(), raw), b"Host: app.test", b"Connection: close"]
    lines += [field.encode("latin-1") for field in fields]
    if body:
        lines.append(b"Content-Length: %d" % len(body))
    return send(port, b"\r\n".join(lines) + b"\r\n\r\n" + body)
