"""How does a test get a company's outgoing proxy? It opens tunnels (CONNECT) and records them."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType

PIECE_BYTES = 65_536
OPENED = b"HTTP/1.1 200 Connection established\r\n\r\n"


class HTTPProxy:
    """Listens on a free port of 127.0.0.1 until the end of the `with` block."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.asked: list[str] = []
        """The lines of each request's head: target and credentials."""
        self._sockets: list[socket.socket] = []

    def __enter__(self) -> HTTPProxy:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for one in (self._listener, *self._sockets):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def targets(self) -> set[str]:
        """`host:port` of every tunnel that was requested."""
        return {head.split(" ")[1] for head in self.asked}

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client = self._listener.accept()[0]
                self._sockets.append(client)
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            target = self._open(client)
        except OSError:
            client.close()
            return
        self._sockets.append(target)
        threading.Thread(target=_carry, args=(target, client), daemon=True).start()
        _carry(client, target)

    def _open(self, client: socket.socket) -> socket.socket:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            # Byte by byte, since the bytes after the head are for the target.
            piece = client.recv(1)
            if not piece:
                raise ConnectionError("the client left")
            head += piece
        self.asked.append(head.decode())
        host, _, port = head.split(b" ")[1].decode().rpartition(":")
        target = socket.create_connection((host, int(port)))
        client.sendall(OPENED)
        return target


def _carry(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(PIECE_BYTES):
            sink.sendall(piece)
        sink.shutdown(socket.SHUT_WR)
