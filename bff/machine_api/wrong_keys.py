"""How fast may somebody try keys?

A wrong key is answered late once several were tried, so that guessing is slow. The right key is
compared first and answered at once, whatever others try: nobody can lock it out.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from bff.core.errors import KeysTried
from bff.core.work_slots import Waiting

FREE = 10
"""So many wrong keys in a row cost nothing: somebody is setting up a program."""
PAUSE_SECONDS = 0.25
WAIT_MAX_SECONDS = 2.0
"""A thread waits no longer; beyond it, all that is said is that there were too many."""


class WrongKeys:
    """The wrong keys of this process's callers; safe for threads.

    Args:
        clock: Seconds that never go back.
        sleep: Waits so many seconds.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._next_at = 0.0

    def slow_down(self) -> None:
        """Wait before a wrong key is answered.

        Raises:
            KeysTried: Too many wait already.
        """
        with self._lock:
            now = self._clock()
            next_at = max(self._next_at, now - FREE * PAUSE_SECONDS) + PAUSE_SECONDS
            wait_seconds = next_at - now
            if wait_seconds > WAIT_MAX_SECONDS:
                raise KeysTried("too many wrong keys")
            self._next_at = next_at
        if wait_seconds > 0:
            with Waiting():
                self._sleep(wait_seconds)
