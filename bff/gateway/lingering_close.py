"""How does a client that is answered while it is still sending receive the response?

A server that closes a connection while data is arriving resets it, and the reset discards the
response on its way: a proxy in front would report us as down, and the page would get that instead
of the 401. So the response is sent at once, and then the rest of the body is read and dropped for a
while, as nginx does (`lingering_close`): after an error, and after whatever an upstream says before
it has all of the body. Source: RFC 9112, section 9.6.

Only for trusted proxies, which send the body that they announced, or close. Once the response has
begun, nothing ends a read under Granian, so any other client could announce a body, send nothing,
and block a thread for good.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from bff.core import work_slots
from bff.gateway.client_address import ClientAddresses
from bff.gateway.request_body import RequestBody

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

LINGER_SECONDS = 30.0
"""As nginx by default (`lingering_time`)."""
THREADS_MAX = 8
"""Each request occupies a thread, at the pace of the client behind the proxy."""
PLENTY_MAX = 1024
"""The same for a server that has a thread for each connection, as `serve` has. A proxy takes each
reset for a failure of ours, and may then send nobody to us for a while."""
PIECE_BYTES = 16_384
_WITHOUT_BODY = ("204", "304")
_NO_LENGTH = ("content-length", "0")
FORWARDED_BODY = "bff.forwarded_body"
"""In the environment of a request: its `RequestBody`, if it is forwarded."""


class LingeringClose:
    """A WSGI layer: after a response that came early, it reads the rest of the request's body.

    Args:
        application: The next layer.
        clients: Knows the trusted proxies.
        seconds: How long the rest of a body is read.
        threads_max: For how many requests at once; the server resets the others.
    """

    def __init__(
        self,
        application: WSGIApplication,
        clients: ClientAddresses,
        seconds: float = LINGER_SECONDS,
        threads_max: int = THREADS_MAX,
    ) -> None:
        self._next = application
        self._clients = clients
        self._seconds = seconds
        self._few_threads = threading.Semaphore(threads_max)
        self._plenty_of_threads = threading.Semaphore(PLENTY_MAX)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request (PEP 3333)."""
        if not (_has_body(environ) and self._clients.from_trusted_proxy(environ)):
            return self._next(environ, start_response)
        # A body that `Expect: 100-continue` holds back isn't on its way, unless a part was read.
        is_held_back = "HTTP_EXPECT" in environ
        is_error = is_empty = False
        free_threads = self._plenty_of_threads if work_slots.in_use() else self._few_threads

        def begin(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
            nonlocal is_error, is_empty
            is_error = status >= "4"
            is_empty = status.startswith(_WITHOUT_BODY) or _NO_LENGTH in headers
            return start_response(status, headers, *error)

        response = self._next(environ, begin)
        forwarded: RequestBody | None = environ.get(FORWARDED_BODY)
        partly_read = forwarded is not None and forwarded.partly_read
        is_early = is_error or (forwarded is not None and not forwarded.finished)
        if partly_read or (is_early and not is_held_back):
            if is_empty:
                # The server would be done with the connection once the head is sent.
                self._drop(environ["wsgi.input"], free_threads)
            else:
                return self._then_drop(response, environ["wsgi.input"], free_threads)
        return response

    def _then_drop(
        self, response: Iterable[bytes], body: Any, free_threads: threading.Semaphore
    ) -> Iterator[bytes]:
        try:
            yield from response
            self._drop(body, free_threads)
        finally:
            close = getattr(response, "close", None)
            if close is not None:
                close()

    def _drop(self, body: Any, free_threads: threading.Semaphore) -> None:
        if not free_threads.acquire(blocking=False):
            return
        give_up_at = time.monotonic() + self._seconds
        try:
            while body.read(PIECE_BYTES) and time.monotonic() < give_up_at:
                pass
        except Exception:  # noqa: BLE001 - Each server has its own for a disconnected client.
            return
        finally:
            free_threads.release()


def _has_body(environ: WSGIEnvironment) -> bool:
    announced = environ.get("CONTENT_LENGTH", "0") not in ("", "0")
    return announced or "HTTP_TRANSFER_ENCODING" in environ
