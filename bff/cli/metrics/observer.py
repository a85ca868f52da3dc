"""Which numbers does a worker take down of each operation?"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from time import perf_counter

from bff.cli.metrics.definitions import (
    ERROR_CODES,
    ERROR_RESPONSES,
    METHODS,
    OTHER,
    PROVIDER_SECONDS,
    REDIS_SECONDS,
    REFRESH_WAIT_SECONDS,
    REQUEST_SECONDS,
    REQUESTS,
    SESSION_LOOKUPS,
    UPSTREAM_SECONDS,
)
from bff.cli.metrics.recorder import Record, Recorder
from bff.core.operations import Fact, Operation


class OperationMetrics:
    """An observer of `bff.core.operations`.

    Args:
        recorder: Takes the numbers.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._begun: deque[None] = deque()
        self._requests: dict[tuple[str, str, int], tuple[Record, Record]] = {}
        self._timed: dict[tuple[str, str, int, str], Record] = {}
        self._facts: dict[tuple[Fact, str], Record] = {}

    def in_progress(self) -> int:
        """How many requests have no response yet."""
        return len(self._begun)

    def begin(self, operation: Operation) -> Callable[[], object]:
        """Take the time."""
        if operation.kind == "request":
            self._begun.append(None)
            return partial(self._end_request, operation, perf_counter())
        return partial(self._end, operation, perf_counter())

    def note(self, fact: Fact, value: str) -> None:
        """Count it."""
        record = self._facts.get((fact, value))
        if record is None:
            metric, label = SESSION_LOOKUPS, value
            if fact == "error_response":
                metric, label = ERROR_RESPONSES, value if value in ERROR_CODES else OTHER
            record = self._facts[fact, value] = self._recorder.series(metric, label)
        record(1)

    def _end_request(self, operation: Operation, began_at: float) -> None:
        seconds = perf_counter() - began_at
        self._begun.pop()
        status = operation.status // 100
        series = self._requests.get((operation.name, operation.method, status))
        if series is None:
            series = self._series_of_request(operation.name, operation.method, status)
        series[0](1)
        series[1](seconds)

    def _series_of_request(self, name: str, method: str, status: int) -> tuple[Record, Record]:
        if method not in METHODS:  # A caller may send any.
            method = OTHER
        key = name, method, status
        if key not in self._requests:
            # An exception has no status; the server renders it.
            count = self._recorder.series(REQUESTS, name, method, f"{status or 5}xx")
            self._requests[key] = count, self._recorder.series(REQUEST_SECONDS, name)
        return self._requests[key]

    def _end(self, operation: Operation, began_at: float) -> None:
        seconds = perf_counter() - began_at
        key = operation.kind, operation.name, operation.status // 100, operation.error
        record = self._timed.get(key)
        if record is None:
            record = self._timed[key] = self._series(operation)
        record(seconds)

    def _series(self, operation: Operation) -> Record:
        series = self._recorder.series
        if operation.kind == "upstream":
            return series(UPSTREAM_SECONDS, operation.name, operation.outcome)
        if operation.kind == "refresh_wait":
            return series(REFRESH_WAIT_SECONDS, operation.name)
        # Of the provider's addresses and Redis's commands there are more than a graph can show.
        metric = REDIS_SECONDS if operation.kind == "redis" else PROVIDER_SECONDS
        return series(metric, operation.outcome)
