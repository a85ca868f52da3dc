"""How does a client that is refused while it is still sending receive the error?

A server that closes a connection while data is arriving resets it, and the reset discards the
response on its way: a proxy in front would report us as down, and the page would get that instead
of the 401. So the error is sent at once, and then the rest of the body is read and dropped for a
while, as nginx does (`lingering_close`). Source: RFC 9112, section 9.6.

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


class LingeringClose:
    """A WSGI layer: after an error response, it reads the rest of the request's body.

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
        if not (_is_being_sent(environ) and self._clients.from_trusted_proxy(environ)):
            return self._next(environ, start_response)
        is_error = False
        free_threads = self._plenty_of_threads if work_slots.in_use() else self._few_threads

        def begin(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
            nonlocal is_error
            is_error = status >= "4"
            return start_response(status, headers, *error)

        response = self._next(environ, begin)
        body = environ["wsgi.input"]
        return self._then_drop(response, body, free_threads) if is_error else response

    def _then_drop(
        self, response: Iterable[bytes], body: Any, free_threads: threading.Semaphore
    ) -> Iterator[bytes]:
        try:
            yield from response
            if free_threads.acquire(blocking=False):
                try:
                    self._drop(body)
                finally:
                    free_threads.release()
        finally:
            close = getattr(response, "close", None)
            if close is not None:
                close()

    def _drop(self, body: Any) -> None:
        give_up_at = time.monotonic() + self._seconds
        try:
            while body.read(PIECE_BYTES) and time.monotonic() < give_up_at:
                pass
        except Exception:  # noqa: BLE001 - Each server has its own for a disconnected client.
            return


def _is_being_sent(environ: WSGIEnvironment) -> bool:
    """Whether a body is on its way: announced, and not held back by `Expect: 100-continue`."""
    announced = environ.get("CONTENT_LENGTH", "0") not in ("", "0")
    return (announced or "HTTP_TRANSFER_ENCODING" in environ) and "HTTP_EXPECT" not in environ
