"""How many revocations wait, and how long does the oldest? Read from Redis when it is asked."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

from prometheus_client import Metric as Family
from prometheus_client.registry import Collector

from bff.cli.metrics.definitions import OLDEST_SECONDS, READABLE, WAITING
from bff.cli.metrics.totals import gauge
from bff.core.errors import StoreUnavailable
from bff.store.outbox import Backlog, Outbox

PAUSE_SECONDS = 1.0
PAUSE_FACTOR = 10
"""A long outbox takes long to read; so much longer it isn't read again."""


class BacklogMetrics(Collector):
    """The outbox, as it was when it could be read.

    Args:
        outbox: Is read.
        clock: Monotonic seconds.
        before_look: Called before each look at it.
    """

    def __init__(
        self,
        outbox: Outbox,
        clock: Callable[[], float] = time.monotonic,
        before_look: Callable[[], None] = lambda: None,
    ) -> None:
        self._outbox = outbox
        self._before_look = before_look
        self._clock = clock
        self._lock = threading.Lock()
        self._last: tuple[float, Backlog] | None = None
        self._readable = False
        self._next_at = clock()

    def collect(self) -> Iterable[Family]:
        """What Prometheus gets; no numbers before the first look that succeeds."""
        with self._lock:
            if self._clock() >= self._next_at:
                self._look()
            yield gauge(READABLE, int(self._readable))
            if self._last is None:
                return
            read_at, backlog = self._last
            age = backlog.oldest_age_seconds + self._clock() - read_at if backlog.waiting else 0.0
            yield gauge(WAITING, backlog.waiting)
            yield gauge(OLDEST_SECONDS, age)

    def _look(self) -> None:
        began_at = self._clock()
        try:
            self._before_look()
            self._last = began_at, self._outbox.backlog()
            self._readable = True
        except StoreUnavailable:
            self._readable = False
        now = self._clock()
        self._next_at = now + max(PAUSE_SECONDS, PAUSE_FACTOR * (now - began_at))
