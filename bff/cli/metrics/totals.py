"""What are the sums of all workers, those that have ended included?"""

from __future__ import annotations

import platform
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate

from prometheus_client import Metric as Family
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from bff.cli.metrics.definitions import BUILD, OF_WORKERS, WORKERS, WORKERS_EXPECTED, Metric
from bff.cli.metrics.report import Report
from bff.core.version import __version__

SILENT_SECONDS = 10.0
"""Then a worker is gone, and so are its gauges; its counts stay."""


class Totals(Collector):
    """Adds up reports; safe for threads.

    Args:
        workers_expected: How many should report.
        clock: Monotonic seconds.
    """

    def __init__(self, workers_expected: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._workers_expected = workers_expected
        self._clock = clock
        self._lock = threading.Lock()
        self._sums: dict[str, dict[tuple[str, ...], list[float]]] = {
            metric.name: {labels: _zero(metric) for labels in metric.known} for metric in OF_WORKERS
        }
        self._workers: dict[int, tuple[float, dict[str, float]]] = {}

    def add(self, report: Report) -> None:
        """Take a report."""
        with self._lock:
            for (name, labels), added in report.added:
                series = self._sums[name]
                old = series.get(labels)
                series[labels] = [a + b for a, b in zip(old, added, strict=True)] if old else added
            self._workers[report.worker] = self._clock(), report.gauges
            if report.is_last:
                del self._workers[report.worker]

    def collect(self) -> Iterable[Family]:
        """What Prometheus gets."""
        with self._lock:
            heard_after = self._clock() - SILENT_SECONDS
            self._workers = {n: one for n, one in self._workers.items() if one[0] >= heard_after}
            gauges = [gauges for _, gauges in self._workers.values()]
            yield from [self._family(metric, gauges) for metric in OF_WORKERS]
        yield gauge(WORKERS, len(gauges))
        yield gauge(WORKERS_EXPECTED, self._workers_expected)
        yield gauge(BUILD, 1, __version__, platform.python_version())

    def _family(self, metric: Metric, gauges: list[dict[str, float]]) -> Family:
        if metric.kind == "gauge":
            return gauge(metric, sum(one.get(metric.name, 0) for one in gauges))
        sums = self._sums[metric.name]
        if metric.kind == "counter":
            counter = CounterMetricFamily(metric.name, metric.description, labels=metric.labels)
            for labels, (value,) in sums.items():
                counter.add_metric(labels, value)
            return counter
        histogram = HistogramMetricFamily(metric.name, metric.description, labels=metric.labels)
        for labels, (total, *counts) in sums.items():
            histogram.add_metric(labels, list(_cumulative(metric, counts)), total)
        return histogram


def gauge(metric: Metric, value: float, *labels: str) -> Family:
    """A gauge of one series."""
    family = GaugeMetricFamily(metric.name, metric.description, labels=metric.labels)
    family.add_metric(labels, value)
    return family


def _zero(metric: Metric) -> list[float]:
    return [0.0] * (len(metric.buckets) + 2 if metric.buckets else 1)


def _cumulative(metric: Metric, counts: list[float]) -> Iterator[tuple[str, float]]:
    """Prometheus counts in each bucket what is in the lower ones, too."""
    bounds = [*map(str, metric.buckets), "+Inf"]
    yield from zip(bounds, accumulate(counts), strict=True)
