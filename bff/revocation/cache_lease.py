"""When may the end of a session be confirmed to its caller, if processes cache sessions?

A process uses a cached session for at most a lease after the last proof that nothing has changed
(`bff/sessions/cache.py`). So an end is confirmed no sooner than a lease after the session was gone
from Redis: by then no process relies on a proof from before. Each measures by its own clock, and no
clocks are compared. The ends of the sweep and the drain have no caller and don't wait.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

MARGIN = 1.02
"""Allows for clocks that run at different speeds; real ones differ thousands of times less."""


class CacheLease:
    """Makes each thread wait for the ends that it made itself.

    Args:
        seconds: How long a process may use a cached session; 0 if none caches any.
        clock: Monotonic seconds.
        sleep: Waits so many seconds.
    """

    def __init__(
        self,
        seconds: float = 0,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._seconds = seconds * MARGIN
        self._clock = clock
        self._sleep = sleep
        self._own = threading.local()

    @property
    def trace_milliseconds(self) -> int:
        """How long Redis stores that a session has ended, so that a second end of it waits too."""
        return math.ceil(self._seconds * 2_000)

    def begin(self) -> None:
        """Start the wait: Redis has confirmed that a session is gone."""
        if self._seconds:
            self._own.began_at = self._clock()

    def wait(self) -> None:
        """Return when no process can use a session any more that was gone at the last `begin`."""
        began_at = getattr(self._own, "began_at", None)
        if began_at is None or getattr(self._own, "together", False):
            return
        self._own.began_at = None
        left = began_at + self._seconds - self._clock()
        if left > 0:
            self._sleep(left)

    @contextmanager
    def together(self) -> Iterator[None]:
        """A context for ends that share one response: they wait once, when it closes."""
        self._own.together = True
        try:
            yield
        finally:
            self._own.together = False
        self.wait()
