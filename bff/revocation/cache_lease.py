"""When may the end of a session be answered, if processes cache sessions for a moment?

A process uses a cached session for at most a lease after the last proof that nothing has changed
(`bff/sessions/cache.py`). So an end is answered no sooner than a lease after the session was gone
from Redis: by then no process goes by a proof from before. Each measures on its own clock, and no
clocks are compared. An end without a response, such as the sweep's and the drain's, doesn't wait.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

MARGIN = 1.02
"""Two clocks that run at different speeds are thousands of times closer than this."""


class CacheLease:
    """Lets the threads of a process wait; each waits for the ends that it made itself.

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
        """How long Redis remembers that a session is gone, so that every end of it waits."""
        return math.ceil(self._seconds * 2_000)

    def begin(self) -> None:
        """A session is gone from Redis, which has answered so before this call."""
        if self._seconds:
            self._own.began_at = self._clock()

    def wait(self) -> None:
        """Return when no process can have cached what was gone at this thread's last `begin`."""
        began_at = getattr(self._own, "began_at", None)
        if began_at is None or getattr(self._own, "together", False):
            return
        self._own.began_at = None
        left = began_at + self._seconds - self._clock()
        if left > 0:
            self._sleep(left)

    @contextmanager
    def together(self) -> Iterator[None]:
        """Let all ends in this block, which share one response, wait once, when it closes."""
        self._own.together = True
        try:
            yield
        finally:
            self._own.together = False
        self.wait()
