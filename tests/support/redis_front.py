"""What stands between a BFF and its Redis and holds back what Redis tells?

A TCP proxy. It knows a tracking connection by its `CLIENT TRACKING`; what Redis says on such a one
can be withheld, as a network would that is stuck, while all other connections go on.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType

from tests.support.waiting import wait_for

PONG = b"+PONG\r\n"
CHUNK_BYTES = 65_536


class RedisFront:
    """Listens on a port of its own (`url`) and forwards to the Redis on *port*."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"
        self._lock = threading.Lock()
        self._holding = False
        self._tracking: set[socket.socket] = set()
        self._held: list[tuple[socket.socket, bytes]] = []
        self._sockets: list[socket.socket] = []

    def __enter__(self) -> RedisFront:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listener.close()
        for one in self._sockets:
            _hang_up(one)

    # ------------------------------------------------------------ what tests do with it
    def hold(self) -> None:
        """From now on nothing that Redis says on a tracking connection arrives."""
        with self._lock:
            self._holding = True

    def held(self) -> bytes:
        """What was withheld so far."""
        with self._lock:
            return b"".join(data for _, data in self._held)

    def wait_for_held_pong(self) -> None:
        """Return when an answer to a PING is among what is withheld."""
        wait_for(lambda: PONG in self.held(), "an answer to a PING")

    def let_first_pong_through(self) -> None:
        """Let the first answer to a PING arrive, and nothing that came after it."""
        with self._lock:
            client, data = self._held.pop(0)
            end = data.index(PONG) + len(PONG)
            if data[end:]:
                self._held.insert(0, (client, data[end:]))
            client.sendall(data[:end])

    def let_go(self) -> None:
        """Everything withheld arrives, and nothing is withheld any more."""
        with self._lock:
            self._holding = False
            for client, data in self._held:
                _send(client, data)
            self._held.clear()

    # ------------------------------------------------------------ forwarding
    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._to))
            self._sockets += [client, server]
            threading.Thread(target=self._to_redis, args=(client, server), daemon=True).start()
            threading.Thread(target=self._to_client, args=(server, client), daemon=True).start()

    def _to_redis(self, client: socket.socket, server: socket.socket) -> None:
        while data := _receive(client):
            if b"TRACKING" in data:
                with self._lock:
                    self._tracking.add(client)
            _send(server, data)
        _hang_up(server)

    def _to_client(self, server: socket.socket, client: socket.socket) -> None:
        while data := _receive(server):
            with self._lock:
                if self._holding and client in self._tracking:
                    self._held.append((client, data))
                else:
                    _send(client, data)
        _hang_up(client)


def _receive(one: socket.socket) -> bytes:
    try:
        return one.recv(CHUNK_BYTES)
    except OSError:
        return b""


def _send(one: socket.socket, data: bytes) -> None:
    try:
        one.sendall(data)
    except OSError:
        _hang_up(one)


def _hang_up(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
