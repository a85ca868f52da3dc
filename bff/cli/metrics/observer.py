"""Which numbers does a worker take down of each operation?"""

from __future__ import annotations

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
    UPSTREAM_SECONDS,
)
from bff.cli.metrics.recorder import Record, Recorder
from bff.core.operations import Fact, Operation


class OperationMetrics:
    """An observer of `bff.core.operations`.

    Args:
        recorder: Takes the numbers.
    """

    begin = None

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._requests: dict[tuple[str, str, int], Record] = {}
        self._timed: dict[tuple[str, str, int, str], Record] = {}

    def ended(self, operation: Operation) -> None:
        """Take its numbers down."""
        if operation.kind == "request":
            key = operation.name, operation.method, operation.status // 100
            (self._requests.get(key) or self._series_of_request(*key))(operation.seconds)
            return
        timed = operation.kind, operation.name, operation.status // 100, operation.error
        record = self._timed.get(timed)
        if record is None:
            record = self._timed[timed] = self._series(operation)
        record(operation.seconds)

    def note(self, fact: Fact, value: str) -> None:
        """Count it."""
        code = value if value in ERROR_CODES else OTHER
        self._recorder.series(ERROR_RESPONSES, code)(1)

    def _series_of_request(self, name: str, method: str, status: int) -> Record:
        if method not in METHODS:  # A caller may send any.
            method = OTHER
        key = name, method, status
        if key not in self._requests:
            # An exception has no status; the server renders it.
            self._requests[key] = self._recorder.series_together(
                (REQUESTS, (name, method, f"{status or 5}xx")), (REQUEST_SECONDS, (name,))
            )
        return self._requests[key]

    def _series(self, operation: Operation) -> Record:
        series = self._recorder.series
        if operation.kind == "upstream":
            return series(UPSTREAM_SECONDS, operation.name, operation.outcome)
        if operation.kind == "refresh_wait":
            return series(REFRESH_WAIT_SECONDS, operation.name)
        # Of the provider's addresses and Redis's commands there are more than a graph can show.
        metric = REDIS_SECONDS if operation.kind == "redis" else PROVIDER_SECONDS
        return series(metric, operation.outcome)
