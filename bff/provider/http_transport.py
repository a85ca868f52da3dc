"""How long may one request to the provider take, how large may the response be, and was it sent?

The timeouts of the requests library count from byte to byte, so that a slow drip of bytes never
times out, and name lookups have none. Here a worker thread makes the exchange; its caller waits
until the deadline and then shuts the socket. All threads of the process share the connections.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import socket
import threading
import time
from collections.abc import Mapping
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from bff.core.errors import ProviderUnavailable
from bff.core.work_slots import Waiting
from bff.provider.idle_connections import close_idle

RESPONSE_MAX_BYTES = 1024 * 1024
CONNECTION_IDLE_SECONDS = 30.0
"""A connection that was idle for longer is not used again: a firewall may have dropped it."""

_thread = threading.local()


class Deadline:
    """The instant by which a whole operation, of one request or several, must be over."""

    def __init__(self, seconds: float) -> None:
        self._ends_at = time.monotonic() + seconds

    def remaining_seconds(self) -> float:
        """The time that is left; never negative."""
        return max(0.0, self._ends_at - time.monotonic())

    def part(self, share: float) -> Deadline:
        """A deadline after *share* (0 to 1) of what is left."""
        return Deadline(self.remaining_seconds() * share)


class ExchangeFailed(requests.RequestException):
    """There is no complete response; if `sent`, the request may have reached the provider."""

    def __init__(self, detail: str, *, sent: bool) -> None:
        super().__init__(detail)
        self.detail = detail
        self.sent = sent

    def as_unavailable(self) -> ProviderUnavailable:
        """The same as an error of `core`."""
        return ProviderUnavailable(self.detail, maybe_acted=self.sent)


class Transport:
    """The connections to the provider, shared by all threads.

    Args:
        ca_file: PEM certificates of the CAs that are trusted for it, and no others.
        proxy_url: The HTTP proxy on the way there; None connects directly.
    """

    def __init__(self, ca_file: str, proxy_url: str | None = None) -> None:
        self._ca_file = ca_file
        self._proxies = {"http": proxy_url, "https": proxy_url} if proxy_url else {}
        self._adapter = DeadlineAdapter(pool_connections=4, pool_maxsize=32)

    def prepare(self, session: requests.Session) -> None:
        """Make *session* use these connections, and ignore the process's environment."""
        session.trust_env = False
        session.verify = self._ca_file
        session.proxies.update(self._proxies)
        session.headers.update({"User-Agent": "bff", "Accept-Encoding": "identity"})
        session.adapters.clear()
        session.mount("https://", self._adapter)
        session.mount("http://", self._adapter)

    def get_json(self, url: str, deadline: Deadline, **headers: str) -> Any:
        """Fetch a document; with more *headers* than `Accept`.

        Raises:
            ProviderUnavailable: No response, or one that is no 200 with JSON.
        """
        session = requests.Session()
        self.prepare(session)
        try:
            response = session.get(
                url, timeout=deadline.remaining_seconds(), allow_redirects=False,
                headers={"Accept": "application/json", **headers},
            )  # fmt: skip
        except ExchangeFailed as error:
            raise error.as_unavailable() from error
        if response.status_code != 200:
            raise ProviderUnavailable(f"{url} answered with status {response.status_code}")
        try:
            return json.loads(response.content)
        except (ValueError, RecursionError) as error:
            raise ProviderUnavailable(f"{url} answered with something that is not JSON") from error

    def close_idle(self) -> int:
        """Close connections that wait in vain; returns how many. Call it from any thread."""
        adapter = self._adapter
        return sum(map(close_idle, (adapter.poolmanager, *adapter.proxy_manager.values())))

    def close(self) -> None:
        """Close idle connections."""
        self._adapter.close()


class DeadlineAdapter(HTTPAdapter):
    """Applies `timeout` to the whole exchange, from the name lookup to the last byte."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Use connections that another thread can shut."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _PoolTLS}

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """The same for connections through a proxy."""
        manager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = self.poolmanager.pool_classes_by_scheme
        return manager

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """Send *request* and read the whole response.

        Raises:
            ExchangeFailed: Not complete within `timeout` seconds, broken off, or too large.
        """
        seconds = float(timeout)
        exchange = _Exchange()
        if seconds > 0:
            options = {"timeout": seconds, "verify": verify, "proxies": proxies}
            work = (exchange, request, options)
            threading.Thread(target=self._work, args=work, daemon=True).start()
        # Requests that wait for the provider keep no others from being served.
        with Waiting():
            done = seconds > 0 and exchange.done.wait(seconds)
        if not done:
            exchange.give_up()
            raise ExchangeFailed("the deadline passed", sent=exchange.sent)
        if exchange.response is None:
            error = exchange.error
            raise ExchangeFailed(_error_names(error), sent=exchange.sent) from error
        return exchange.response

    def _work(
        self, exchange: _Exchange, request: requests.PreparedRequest, options: dict[str, Any]
    ) -> None:
        _thread.exchange = exchange
        try:
            response = super().send(request, stream=True, **options)
            response.raw = io.BytesIO(_read(response))
            exchange.response = response
        except Exception as error:  # The caller raises it, in its own thread.
            exchange.error = error
        finally:
            exchange.done.set()


class _Exchange:
    """One request and its response, made by a worker thread; its caller may give up."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.response: requests.Response | None = None
        self.error: Exception | None = None
        self.sent = False
        self._given_up = False
        self._connection: _Connection | None = None
        self._lock = threading.Lock()

    def use(self, connection: _Connection, *, sending: bool) -> None:
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


class _Connection(HTTPConnection):
    """A connection that the waiting thread can shut."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._owner: _Exchange | None = None
        self._owner_lock = threading.Lock()
        self._duplicate: socket.socket | None = None
        self._process_id = os.getpid()
        self._used_at = time.monotonic()

    def assign_to(self, exchange: _Exchange) -> None:
        """From now on only *exchange* may shut this connection."""
        with self._owner_lock:
            self._owner = exchange
            self._used_at = time.monotonic()

    def shut(self, exchange: _Exchange) -> None:
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
            _thread.exchange.use(self, sending=False)
        except TimeoutError:
            sock.close()
            raise
        return sock

    def request(self, *args: Any, **kwargs: Any) -> None:
        """Connect first, so that a request without a connection counts as not sent."""
        if self.sock is None:
            self.connect()
        _thread.exchange.use(self, sending=True)
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


class _ConnectionTLS(_Connection, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _PoolTLS(HTTPSConnectionPool):
    ConnectionCls = _ConnectionTLS


def _read(response: requests.Response) -> bytes:
    body: bytes = response.raw.read(RESPONSE_MAX_BYTES + 1, decode_content=True)
    if len(body) > RESPONSE_MAX_BYTES:
        response.raw.close()
        raise ValueError(f"the answer is larger than {RESPONSE_MAX_BYTES} bytes")
    return body


def _error_names(error: BaseException | None) -> str:
    """The classes of *error* and its causes; their texts may quote what the provider sent."""
    names: list[str] = []
    while error is not None and len(names) < 5:
        name = type(error).__name__
        names.append(f"{name} ({error.strerror})" if isinstance(error, OSError)
                     and error.strerror else name)  # fmt: skip
        error = error.__cause__ or error.__context__
    return " < ".join(names)
