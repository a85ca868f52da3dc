"""How does a client learn that it is refused while it is still sending?

A server that closes a connection while more is coming resets it, and a reset throws away the answer
that is on its way: a proxy in front would take us for dead, and the page would read that instead of
401. So an answer to a body that wasn't read is sent at once, and what still comes is read and
dropped for a while. Source: RFC 9112, section 9.6.

Only for trusted proxies: they send what they announced, or close. Granian's bodies can't be waited
for with a limit, so anybody else could announce one, send nothing, and hold a thread for good.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from bff.gateway.client_address import ClientAddresses

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

LINGER_SECONDS = 30.0
"""As long as nginx does it (`lingering_time`)."""
LINGERING_MAX = 8
"""Each holds a thread; behind a proxy that goes on sending, at the pace of its client."""
PIECE_BYTES = 16_384


class LingeringClose:
    """Reads on behind every refusal.

    Args:
        application: The next layer; it need not have read the body.
        clients: Knows the trusted proxies.
        seconds: How long the rest of a body is read.
        max_threads: For how many requests at once; the server cuts off the others.
    """

    def __init__(
        self,
        application: WSGIApplication,
        clients: ClientAddresses,
        seconds: float = LINGER_SECONDS,
        max_threads: int = LINGERING_MAX,
    ) -> None:
        self._next = application
        self._clients = clients
        self._seconds = seconds
        self._places = threading.Semaphore(max_threads)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request (PEP 3333)."""
        if not (_is_being_sent(environ) and self._clients.from_trusted_proxy(environ)):
            return self._next(environ, start_response)
        refused = False

        def begin(status: str, fields: list[tuple[str, str]], *error: Any) -> Any:
            nonlocal refused
            refused = status >= "4"
            return start_response(status, fields, *error)

        answer = self._next(environ, begin)
        return self._and_read_on(answer, environ["wsgi.input"]) if refused else answer

    def _and_read_on(self, answer: Iterable[bytes], body: Any) -> Iterator[bytes]:
        try:
            yield from answer
            if self._places.acquire(blocking=False):
                try:
                    self._read_on(body)
                finally:
                    self._places.release()
        finally:
            close = getattr(answer, "close", None)
            if close is not None:
                close()

    def _read_on(self, body: Any) -> None:
        give_up_at = time.monotonic() + self._seconds
        try:
            while body.read(PIECE_BYTES) and time.monotonic() < give_up_at:
                pass
        except Exception:  # noqa: BLE001 - Every server has its own for a client that has left.
            return


def _is_being_sent(environ: WSGIEnvironment) -> bool:
    """Whether a body is on its way: one is announced, and the client doesn't wait to be asked."""
    announced = environ.get("CONTENT_LENGTH", "0") not in ("", "0")
    return (announced or "HTTP_TRANSFER_ENCODING" in environ) and "HTTP_EXPECT" not in environ
