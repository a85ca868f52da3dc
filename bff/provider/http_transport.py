"""How long may one call to the provider take, how much may it answer, and was it sent at all?

The timeouts of requests count from byte to byte, so a provider that drips is never cut off; name
look-ups have none. Here a worker thread makes the call, and its caller waits until the deadline at
most, then cuts the socket. Connections are shared by all threads of the process.
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

ANSWER_MAX_BYTES = 1024 * 1024
CONNECTION_IDLE_SECONDS = 30.0
"""A connection idle for longer is not used again: something on the way may have dropped it."""

_thread = threading.local()


class Deadline:
    """The instant by which a whole operation, of one call or of several, must be over."""

    def __init__(self, seconds: float) -> None:
        self._ends_at = time.monotonic() + seconds

    def remaining_seconds(self) -> float:
        """How long is left; never negative."""
        return max(0.0, self._ends_at - time.monotonic())

    def part(self, share: float) -> Deadline:
        """A deadline after *share* (0 to 1) of what is left."""
        return Deadline(self.remaining_seconds() * share)


class CallFailed(requests.RequestException):
    """There is no whole answer. `sent`: the request may have reached the provider."""

    def __init__(self, detail: str, *, sent: bool) -> None:
        super().__init__(detail)
        self.detail = detail
        self.sent = sent

    def as_unavailable(self) -> ProviderUnavailable:
        """The same for callers that know nothing of HTTP."""
        return ProviderUnavailable(self.detail, maybe_acted=self.sent)


class Transport:
    """The connections to the provider, shared by all threads.

    Args:
        ca_file: PEM certificates of the CAs that may vouch for it; those and no others.
        proxy_url: The HTTP proxy that is asked for a way there; None goes straight.
    """

    def __init__(self, ca_file: str, proxy_url: str | None = None) -> None:
        self._ca_file = ca_file
        self._proxies = {"http": proxy_url, "https": proxy_url} if proxy_url else {}
        self._adapter = DeadlineAdapter(pool_connections=4, pool_maxsize=32)

    def prepare(self, session: requests.Session) -> None:
        """Let *session* use these connections and nothing of the process's environment."""
        session.trust_env = False
        session.verify = self._ca_file
        session.proxies.update(self._proxies)
        session.headers.update({"User-Agent": "bff", "Accept-Encoding": "identity"})
        session.adapters.clear()
        session.mount("https://", self._adapter)
        session.mount("http://", self._adapter)

    def get_json(self, url: str, deadline: Deadline) -> Any:
        """Fetch a document.

        Raises:
            ProviderUnavailable: No answer, or one that is not a 200 with JSON in it.
        """
        session = requests.Session()
        self.prepare(session)
        try:
            response = session.get(
                url, timeout=deadline.remaining_seconds(), allow_redirects=False,
                headers={"Accept": "application/json"},
            )  # fmt: skip
        except CallFailed as error:
            raise error.as_unavailable() from error
        if response.status_code != 200:
            raise ProviderUnavailable(f"{url} answered with status {response.status_code}")
        try:
            return json.loads(response.content)
        except (ValueError, RecursionError) as error:
            raise ProviderUnavailable(f"{url} answered with something that is not JSON") from error

    def close(self) -> None:
        """Close idle connections."""
        self._adapter.close()


class DeadlineAdapter(HTTPAdapter):
    """Takes `timeout` as the time for all: from the name look-up to the last byte."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Use connections that can be cut."""
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
        """Send *request* and read the whole answer.

        Raises:
            CallFailed: Not done within `timeout` seconds, broken off, or larger than allowed.
        """
        seconds = float(timeout)
        call = _Call()
        if seconds > 0:
            options = {"timeout": seconds, "verify": verify, "proxies": proxies}
            work = (call, request, options)
            threading.Thread(target=self._work, args=work, daemon=True).start()
        if seconds <= 0 or not call.done.wait(seconds):
            call.give_up()
            raise CallFailed("the deadline passed", sent=call.sent)
        if call.response is None:
            raise CallFailed(_described(call.error), sent=call.sent) from call.error
        return call.response

    def _work(
        self, call: _Call, request: requests.PreparedRequest, options: dict[str, Any]
    ) -> None:
        _thread.call = call
        try:
            response = super().send(request, stream=True, **options)
            response.raw = io.BytesIO(_read(response))
            call.response = response
        except Exception as error:  # The caller raises it, in its own thread.
            call.error = error
        finally:
            call.done.set()


class _Call:
    """One exchange: made by a worker, awaited and perhaps given up by its caller."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.response: requests.Response | None = None
        self.error: Exception | None = None
        self.sent = False
        self._given_up = False
        self._connection: _Connection | None = None
        self._lock = threading.Lock()

    def use(self, connection: _Connection, *, sending: bool) -> None:
        """The worker is about to use *connection*; refused once the caller has given up."""
        with self._lock:
            if self._given_up:
                raise TimeoutError("given up by the caller")
            self._connection = connection
            # From here on the provider may act. Whoever gives up later reads it under the lock.
            self.sent = self.sent or sending
            connection.hand_to(self)

    def give_up(self) -> None:
        """End the exchange now; what is not sent yet never will be."""
        with self._lock:
            self._given_up = True
            if self._connection is not None:
                self._connection.cut(self)


class _Connection(HTTPConnection):
    """A connection that the thread which waits for it can cut."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._owner: _Call | None = None
        self._owner_lock = threading.Lock()
        self._handle: socket.socket | None = None
        self._process_id = os.getpid()
        self._used_at = time.monotonic()

    def hand_to(self, call: _Call) -> None:
        """From now on only *call* may cut this connection."""
        with self._owner_lock:
            self._owner = call
            self._used_at = time.monotonic()

    def cut(self, call: _Call) -> None:
        """Shut the socket, unless the connection serves another call by now."""
        with self._owner_lock:
            if self._owner is call and self._handle is not None:
                with contextlib.suppress(OSError):
                    self._handle.shutdown(socket.SHUT_RDWR)

    def _new_conn(self) -> socket.socket:
        sock = super()._new_conn()
        # TLS takes the descriptor out of this object, so a second one is kept to shut it by. It
        # is handed over before the handshake, which can be made to drip as well.
        with self._owner_lock:
            self._handle = sock.dup()
        try:
            _thread.call.use(self, sending=False)
        except TimeoutError:
            sock.close()
            raise
        return sock

    def request(self, *args: Any, **kwargs: Any) -> None:
        """Connect first, so that a request which can't even connect counts as not sent."""
        if self.sock is None:
            self.connect()
        _thread.call.use(self, sending=True)
        super().request(*args, **kwargs)

    @property
    def is_connected(self) -> bool:
        """Whether it may be used again: fresh, and not inherited from a parent process."""
        fresh = time.monotonic() - self._used_at < CONNECTION_IDLE_SECONDS
        return fresh and self._process_id == os.getpid() and super().is_connected

    def close(self) -> None:
        """Close the socket and the second descriptor with it."""
        super().close()
        with self._owner_lock:
            handle, self._handle = self._handle, None
        if handle is not None:
            handle.close()


class _ConnectionTLS(_Connection, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _PoolTLS(HTTPSConnectionPool):
    ConnectionCls = _ConnectionTLS


def _read(response: requests.Response) -> bytes:
    body: bytes = response.raw.read(ANSWER_MAX_BYTES + 1, decode_content=True)
    if len(body) > ANSWER_MAX_BYTES:
        response.raw.close()
        raise ValueError(f"the answer is larger than {ANSWER_MAX_BYTES} bytes")
    return body


def _described(error: BaseException | None) -> str:
    """What went wrong, from the classes alone: a text may quote what the provider sent."""
    names: list[str] = []
    while error is not None and len(names) < 5:
        name = type(error).__name__
        names.append(f"{name} ({error.strerror})" if isinstance(error, OSError)
                     and error.strerror else name)  # fmt: skip
        error = error.__cause__ or error.__context__
    return " < ".join(names)
