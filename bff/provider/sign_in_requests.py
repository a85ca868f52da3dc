"""How many sign-ins may wait for the provider at once?

Anybody can begin a sign-in, and come back with any code. The provider answers so many requests a
second, or none while it is slow; users who are signed in need it too, to renew their tokens. So
sign-ins get a share of this process's requests to it, and beyond it wait for a moment.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from bff.core.errors import Overloaded
from bff.core.work_slots import Waiting

PLACES = 16
"""Half of the connections that a process keeps to the provider (`http_transport`)."""
PATIENCE_SECONDS = 1.0


class SignInRequests:
    """The exchanges of codes and the pushed requests of this process; safe for threads.

    Args:
        places: How many there may be at once.
        patience_seconds: How long one waits for a place.
    """

    def __init__(self, places: int = PLACES, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._free = threading.BoundedSemaphore(places)
        self._patience_seconds = patience_seconds

    @contextmanager
    def place(self) -> Iterator[None]:
        """Have a place while it is entered.

        Raises:
            Overloaded: There is none; nothing was sent.
        """
        if not self._free.acquire(blocking=False):
            with Waiting():
                found = self._free.acquire(timeout=self._patience_seconds)
            if not found:
                raise Overloaded("too many sign-ins wait for the provider")
        try:
            yield
        finally:
            self._free.release()
