"""How is the BFF started with metrics? As ever, with `--metrics-port`; its exporter counts, too."""

from __future__ import annotations

from benchmarks.contestants.ours import Ours
from tests.support.processes import free_port


class OursWithMetrics(Ours):
    """What metrics cost; nobody scrapes them meanwhile."""

    name = "ours-metrics"
    by_default = False

    def __init__(self) -> None:
        super().__init__()
        self.options = ("--metrics-port", str(free_port()))
