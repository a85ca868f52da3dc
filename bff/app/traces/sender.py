"""How do finished spans reach the collector, at no cost to requests, whatever state it is in?

A request puts its spans into a queue and goes on; a thread sends them, batch by batch. When the
queue is full, the oldest are dropped. OpenTelemetry's own processor does so, too, but logs each
failure, and may take half a minute to stop. Here the log says once that the collector takes
nothing, and once that it does again, and no more than a line a minute whatever happens.
"""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor

from bff.app.traces.collector import THREAD, Collector

log = logging.getLogger(__name__)

FLUSH_SECONDS = 3.0
"""How long the end of a process waits for the collector."""
LOG_PAUSE_SECONDS = 60.0


class SpanSender(SpanProcessor):
    """Sends spans in the background; safe for threads and forks.

    Args:
        collector: Where to.
        variables: OpenTelemetry's `OTEL_BSP_…` among them, checked (`trace_options`).
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        collector: Collector,
        variables: Mapping[str, str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._collector = collector
        self._clock = clock
        queue_max = int(variables.get("OTEL_BSP_MAX_QUEUE_SIZE", "2048"))
        batch_max = int(variables.get("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "512"))
        self._batch_max = min(batch_max, queue_max)
        self._delay_seconds = int(variables.get("OTEL_BSP_SCHEDULE_DELAY", "5000")) / 1000
        self._queue: deque[ReadableSpan] = deque(maxlen=queue_max)
        self._begin()
        os.register_at_fork(after_in_child=self._begin)

    def _begin(self) -> None:
        """In a child, too: it has no thread, and perhaps a lock that nobody frees."""
        self._queue.clear()
        self._collector.forget_connections()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._stopping = self._failing = self._told = False
        self._lost = 0
        self._next_line_at = -math.inf

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Nothing; a span counts when it has ended."""

    def on_end(self, span: ReadableSpan) -> None:
        """Take a finished span, in the thread of the request."""
        if span.context is None or not span.context.trace_flags.sampled or self._stopping:
            return
        queue = self._queue
        if len(queue) == queue.maxlen:
            self._lost += 1
        queue.append(span)
        if self._thread is None:
            self._start()
        if len(queue) >= self._batch_max:
            self._wake.set()

    def shutdown(self) -> None:
        """Send what is left, unless the collector takes nothing; a few seconds at most."""
        self._stopping = True
        self._wake.set()
        if self._failing:
            self._collector.give_up()
        if self._thread is not None:
            self._thread.join(FLUSH_SECONDS)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Send what is there soon (OpenTelemetry's interface)."""
        self._wake.set()
        return True

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=THREAD, daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while not self._stopping:
            self._wake.wait(self._delay_seconds)
            self._wake.clear()
            self._send_all()
        self._send_all()

    def _send_all(self) -> None:
        queue = self._queue
        while queue and not (self._stopping and self._failing):
            batch = [queue.popleft() for _ in range(min(len(queue), self._batch_max))]
            problem = self._collector.send(batch)
            self._failing = bool(problem)
            if problem:
                self._lost += len(batch)
            self._tell(problem)

    def _tell(self, problem: str) -> None:
        now = self._clock()
        if now < self._next_line_at or (self._told if problem else not self._lost):
            return
        self._next_line_at = now + LOG_PAUSE_SECONDS
        self._told = bool(problem)
        if problem:
            log.warning("spans get lost, since the collector doesn't take them: %s", problem)
        else:
            log.warning("the collector takes spans; %d of earlier ones were lost", self._lost)
            self._lost = 0
