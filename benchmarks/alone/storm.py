"""How often is a refresh token used when hundreds of requests need a new access token?"""

from __future__ import annotations

import statistics
import time

from benchmarks.browser import FETCH
from benchmarks.contestants import RunContext
from benchmarks.contestants.ours import Ours
from benchmarks.report import table
from benchmarks.testbed import Testbed
from tests.support.processes import free_port
from tests.support.storm import Shot, fire

PROCESSES, REQUESTS, STORMS = 8, 500, 5
ACCESS_TOKEN_SECONDS = 10


class Replicas(Ours):
    """Several processes with one base URL, as behind a load balancer."""

    def start(self, context: RunContext) -> None:
        """Start all; they share one core."""
        self.ports = [self.port, *(free_port() for _ in range(PROCESSES - 1))]
        self.programs = [self._serve(context, port) for port in self.ports]


def measure(testbed: Testbed) -> str:
    """Measure storms of one session over all processes."""
    ours = Replicas()
    provider = testbed.start_provider([ours.client()], ACCESS_TOKEN_SECONDS)
    ours.start(RunContext(testbed, provider, testbed.checking_upstream, ACCESS_TOKEN_SECONDS))
    rows = []
    for number in range(STORMS):
        browser = ours.signed_in(f"storm-{number}")
        time.sleep(ACCESS_TOKEN_SECONDS + 1)
        provider.control("counts")
        cookie = {"Cookie": browser.cookies(ours.base_url)}
        shots = [
            Shot(ours.ports[n % PROCESSES], "/api/1k", cookie="", headers=FETCH | cookie)
            for n in range(REQUESTS)
        ]
        responses = fire(shots)
        took = [response.received_at - response.sent_at for response in responses]
        counts = provider.control("counts")
        rows.append([
            str(number + 1),
            f"{sum(response.status == 200 for response in responses)} of {REQUESTS}",
            str(sum(n for name, n in counts.items() if name.startswith("token.refresh_token."))),
            f"{statistics.median(took) * 1000:.0f}",
            f"{max(took) * 1000:.0f}",
        ])  # fmt: skip
    head = f"### Refresh storms: {PROCESSES} processes, {REQUESTS} requests of one session at once"
    titles = ["storm", "answered 200", "refreshes at the provider", "median, ms", "slowest, ms"]
    return f"{head}\n\n{table(titles, rows)}"
