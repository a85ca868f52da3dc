"""How does a test delay what Redis sends, over all connections or a tracking one?

With a TCP proxy. It recognises a tracking connection by `CLIENT TRACKING`, and can withhold what
Redis sends over it, as a stuck network would, while all other connections go on.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from types import TracebackType

from tests.support.waiting import wait_for

PONG = b"+PONG\r\n"
CHUNK_BYTES = 65_536


class RedisFront:
    """Listens on its own port (`url`) and forwards to the Redis on *port*."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"
        self._lock = threading.Lock()
        self._withholding = False
        self._delay_seconds = 0.0
        self._tracking: set[socket.socket] = set()
        self._withheld: list[tuple[socket.socket, bytes]] = []
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
        # A thread that waits in `accept` would accept once more.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for one in self._sockets:
            _hang_up(one)

    # ------------------------------------------------------------ for tests
    def withhold(self) -> None:
        """From now on nothing that Redis sends over a tracking connection arrives."""
        with self._lock:
            self._withholding = True

    def withheld(self) -> bytes:
        """What has been withheld so far."""
        with self._lock:
            return b"".join(data for _, data in self._withheld)

    def wait_for_withheld_pong(self) -> None:
        """Return when the reply to a PING is withheld."""
        wait_for(lambda: PONG in self.withheld(), "a reply to PING")

    def let_first_pong_through(self) -> None:
        """Forward the first reply to a PING, and nothing after it."""
        with self._lock:
            client, data = self._withheld.pop(0)
            end = data.index(PONG) + len(PONG)
            if data[end:]:
                self._withheld.insert(0, (client, data[end:]))
            client.sendall(data[:end])

    def release(self) -> None:
        """Forward everything withheld, and withhold nothing any more."""
        with self._lock:
            self._withholding = False
            for client, data in self._withheld:
                _send(client, data)
            self._withheld.clear()

    def delay(self, seconds: float) -> None:
        """From now on everything that Redis sends arrives so much later."""
        self._delay_seconds = seconds

    def lead_to(self, port: int) -> None:
        """Forward to another Redis from now on, as when an address moves; break what is open."""
        self._to = port
        for one in list(self._sockets):
            _hang_up(one)

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
            time.sleep(self._delay_seconds)
            with self._lock:
                if self._withholding and client in self._tracking:
                    self._withheld.append((client, data))
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
