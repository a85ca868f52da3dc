"""How does a worker collect its metrics at little cost?

A request only appends numbers to queues, 50 ns each, without a lock. Once a second a thread adds
them up and sends the increase. A counter in a file that all processes map, the usual way, costs a
microsecond for each number, and such files outlive their workers.
"""

from __future__ import annotations

import os
import socket
import threading
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise

from bff.cli.metrics.definitions import Metric
from bff.cli.metrics.report import PART_MAX_BYTES, SERIES_BYTES, Report, SeriesName, encode

Record = Callable[[float], object]
"""Counts one, and takes a value down where there is a histogram."""
Series = tuple[Metric, tuple[str, ...]]
"""A metric, and the values of its labels."""


class Recorder:
    """The metrics of this process; safe for threads.

    Args:
        sender: Leads to the process that has the sums.
    """

    def __init__(self, sender: socket.socket) -> None:
        self._sender = sender
        self._queues: dict[tuple[SeriesName, ...], tuple[tuple[Series, ...], deque[float]]] = {}
        self._unsent: dict[SeriesName, list[float]] = {}
        self._sending = threading.Lock()

    def series(self, metric: Metric, *labels: str) -> Record:
        """What records a number of one series; keep it, since looking it up costs more."""
        return self.series_together((metric, labels))

    def series_together(self, *series: Series) -> Record:
        """What records a number in each of them, for less than a call for each."""
        empty: tuple[tuple[Series, ...], deque[float]] = series, deque()
        names = tuple((metric.name, labels) for metric, labels in series)
        return self._queues.setdefault(names, empty)[1].append

    def send(
        self, gauges: Mapping[str, Callable[[], float]] | None = None, *, is_last: bool = False
    ) -> None:
        """Send what was added since the last time; what can't be sent is kept for the next."""
        with self._sending:
            for series, queue in list(self._queues.values()):
                if queue:
                    self._add(series, queue)
            shown = {name: read() for name, read in (gauges or {}).items()}
            for part in _parts(list(self._unsent)):
                added = [(name, self._unsent[name]) for name in part]
                report = Report(os.getpid(), added, shown, is_last)
                try:
                    self._sender.send(encode(report), socket.MSG_DONTWAIT)
                except OSError:
                    return
                for name in part:
                    del self._unsent[name]

    def _add(self, series: tuple[Series, ...], queue: deque[float]) -> None:
        # Sorted, a look for each bucket replaces one for each value.
        values = sorted([queue.popleft() for _ in range(len(queue))])
        for metric, labels in series:
            buckets = metric.buckets
            empty = [0.0] * (len(buckets) + 2 if buckets else 1)
            added = self._unsent.setdefault((metric.name, labels), empty)
            if metric.kind == "counter":
                added[0] += len(values)
                continue
            added[0] += sum(values)
            ends = [*(bisect_right(values, bound) for bound in buckets), len(values)]
            for bucket, (begin, end) in enumerate(pairwise((0, *ends)), 1):
                added[bucket] += end - begin


def _parts(names: list[SeriesName]) -> Iterator[list[SeriesName]]:
    """*names*, as many at a time as go into a report; at least one part, for the gauges."""
    part: list[SeriesName] = []
    size = 0
    for name in names:
        length = SERIES_BYTES + len("".join(name[1]).encode())
        if size + length > PART_MAX_BYTES and part:
            yield part
            part, size = [], 0
        part.append(name)
        size += length
    yield part
