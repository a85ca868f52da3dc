"""How does a stop behind a load balancer lose no request?

A load balancer learns from `/readyz`, some time later, that a replica is about to stop, and sends
it requests until then. So `/readyz` turns 503 first, and for a while everything else is served as
before; each response closes its connection, so that none is left to be closed under a request. Only
then the port is closed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from multiprocessing import RawValue
from typing import TYPE_CHECKING, Any

from granian import Granian

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

STOPPING = json.dumps({"status": "stopping"}).encode()


class Draining:
    """Whether the server is about to stop; shared by its processes."""

    def __init__(self) -> None:
        self._begun = RawValue("b", 0)

    def begin(self) -> None:
        """Tell all processes."""
        self._begun.value = 1

    def has_begun(self) -> bool:
        """Whether it has."""
        return bool(self._begun.value)


class DrainingServer(Granian):  # type: ignore[misc, valid-type]
    """Granian, which drains before it stops; a second SIGTERM or Ctrl-C cuts that short.

    Attributes:
        draining: Shared with the workers.
        drain_seconds: How long it takes requests after SIGTERM.
    """

    draining: Draining
    drain_seconds: float = 0

    def shutdown(self, exit_code: int = 0) -> None:
        """Drain, and stop the workers."""
        self.draining.begin()
        if self.interrupt_signal and self.drain_seconds:
            self.main_loop_interrupt.clear()
            self.main_loop_interrupt.wait(self.drain_seconds)
        super().shutdown(exit_code)


class UntilClosed:
    """A WSGI layer: what a process responds while it drains.

    Args:
        application: The next layer.
        draining: Whether it does.
    """

    def __init__(self, application: WSGIApplication, draining: Draining) -> None:
        self._next = application
        self._draining = draining

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request (PEP 3333)."""
        if not self._draining.has_begun():
            return self._next(environ, start_response)

        def begin(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
            return start_response(status, [*headers, ("Connection", "close")], *error)

        if environ["PATH_INFO"] != "/readyz":
            return self._next(environ, begin)
        begin("503 Service Unavailable", [("Content-Type", "application/json")])
        return [STOPPING]
