"""How does a test get BFFs with metrics, and what Prometheus would get of them?"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import requests
from prometheus_client.parser import text_string_to_metric_families

from tests.support.cluster import Cluster
from tests.support.processes import Process, free_port


class Scraped(Cluster):
    """Each replica has two workers, and a port for metrics."""

    def _start_all(self) -> None:
        self.metrics_ports = [free_port() for _ in self.ports]
        super()._start_all()

    def start_replica(self, port: int, **env: str) -> Process:
        """As ever, with metrics."""
        metrics_port = self.metrics_ports[self.ports.index(port)]
        self.serve_options = ["--workers", "2", "--metrics-port", str(metrics_port)]
        return super().start_replica(port, **env)

    def scrape(self, replica: int = 0) -> str:
        """The text for Prometheus."""
        url = f"http://127.0.0.1:{self.metrics_ports[replica]}/metrics"
        return requests.get(url, timeout=10).text

    def value(self, name: str, *labels: str, replica: int = 0) -> float:
        """The sum of all series that have these values of labels, among others."""
        found = 0.0
        for family in text_string_to_metric_families(self.scrape(replica)):
            for sample in family.samples:
                if sample.name == name and set(labels) <= set(sample.labels.values()):
                    found += sample.value
        return found

    def children(self, replica: int = 0) -> tuple[psutil.Process, list[psutil.Process]]:
        """The exporter and the workers."""
        server = psutil.Process(self.replicas[replica].pid)
        exporter, *workers = sorted(server.children(), key=lambda one: one.create_time())
        return exporter, workers


@contextmanager
def stopped(process: psutil.Process) -> Iterator[None]:
    """While this lasts, *process* hangs."""
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)
