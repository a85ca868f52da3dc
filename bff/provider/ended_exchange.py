"""How does a thread end the exchange with the provider that another thread makes for it?

It shuts the socket, also during the handshake, and only if the connection is still used for that
exchange; and it learns whether the request may have been sent.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from typing import Any

import requests
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

CONNECTION_IDLE_SECONDS = 30.0
"""A connection that was idle for longer is not used again: a firewall may have dropped it."""

exchange_of_thread = threading.local()
"""Its `exchange` is the one that the thread makes."""


class Exchange:
    """One request and its response, made by a worker thread; its caller may give up."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.response: requests.Response | None = None
        self.error: Exception | None = None
        self.sent = False
        self._given_up = False
        self._connection: Connection | None = None
        self._lock = threading.Lock()

    def use(self, connection: Connection, *, sending: bool) -> None:
        """Called before the worker uses *connection*; raises once the caller has given up."""
        with self._lock:
            if self._given_up:
                raise TimeoutError("given up by the caller")
            self._connection = connection
            # From here on the provider may act; `give_up` takes the same lock, so that it notices.
            self.sent = self.sent or sending
            connection.assign_to(self)

    def give_up(self) -> None:
        """End the exchange now; nothing more is sent."""
        with self._lock:
            self._given_up = True
            if self._connection is not None:
                self._connection.shut(self)


class Connection(HTTPConnection):
    """A connection that the waiting thread can shut."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._owner: Exchange | None = None
        self._owner_lock = threading.Lock()
        self._duplicate: socket.socket | None = None
        self._process_id = os.getpid()
        self._used_at = time.monotonic()

    def assign_to(self, exchange: Exchange) -> None:
        """From now on only *exchange* may shut this connection."""
        with self._owner_lock:
            self._owner = exchange
            self._used_at = time.monotonic()

    def shut(self, exchange: Exchange) -> None:
        """Shut the socket, unless another exchange uses the connection by now."""
        with self._owner_lock:
            if self._owner is exchange and self._duplicate is not None:
                with contextlib.suppress(OSError):
                    self._duplicate.shutdown(socket.SHUT_RDWR)

    def _new_conn(self) -> socket.socket:
        sock = super()._new_conn()
        # TLS takes the descriptor out of this object; a duplicate can still shut the socket. It is
        # made before the handshake, which can be slowed down to a drip as well.
        with self._owner_lock:
            self._duplicate = sock.dup()
        try:
            exchange_of_thread.exchange.use(self, sending=False)
        except TimeoutError:
            sock.close()
            raise
        return sock

    def request(self, *args: Any, **kwargs: Any) -> None:
        """Connect first, so that a request without a connection counts as not sent."""
        if self.sock is None:
            self.connect()
        exchange_of_thread.exchange.use(self, sending=True)
        super().request(*args, **kwargs)

    @property
    def is_connected(self) -> bool:
        """Whether it may be used again: not idle for long, nor inherited from a parent process."""
        fresh = time.monotonic() - self._used_at < CONNECTION_IDLE_SECONDS
        return fresh and self._process_id == os.getpid() and super().is_connected

    def close(self) -> None:
        """Close the socket and its duplicate."""
        super().close()
        with self._owner_lock:
            duplicate, self._duplicate = self._duplicate, None
        if duplicate is not None:
            duplicate.close()


class _ConnectionTLS(Connection, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = Connection


class _PoolTLS(HTTPSConnectionPool):
    ConnectionCls = _ConnectionTLS


POOLS = {"http": _Pool, "https": _PoolTLS}
"""By the scheme of the address, for urllib3."""
