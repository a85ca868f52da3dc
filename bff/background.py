"""What does a process do besides answering? It completes ends, sweeps, and warms up the provider.

One daemon thread in each process; no second daemon is needed. All replicas run it, and claims with
leases keep them out of each other's way.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable

from bff.errors import BFFError

log = logging.getLogger(__name__)

TICK_SECONDS = 0.5


class Background:
    """Runs jobs every so many seconds until it is stopped.

    Args:
        jobs: `(seconds between two runs, work)`; a BFFError is logged and the job runs again.
    """

    def __init__(self, jobs: list[tuple[float, Callable[[], object]]]) -> None:
        self._jobs = jobs
        self._soon: set[Callable[[], object]] = set()
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start in this process, and again in a child that is forked from it."""
        self._run_thread()
        os.register_at_fork(after_in_child=self._run_thread)

    def stop(self, timeout_seconds: float = 5) -> None:
        """Stop after the job under way."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout_seconds)

    def run_soon(self, work: Callable[[], object]) -> None:
        """Run the job with this *work* at once, or after what is under way; from any thread."""
        self._soon.add(work)
        self._wake.set()

    def run_once(self) -> None:
        """Run every job now, in this thread."""
        for _, work in self._jobs:
            _attempt(work)

    def _run_thread(self) -> None:
        # A child's copy could have been made while the parent's thread held the lock in it.
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="bff-background", daemon=True)
        self._thread.start()

    def _loop(self) -> None:
        due_at = [0.0] * len(self._jobs)
        while not self._stop.is_set():
            self._wake.clear()
            for index, (seconds, work) in enumerate(self._jobs):
                if work in self._soon or time.monotonic() >= due_at[index]:
                    # Before the work: what is asked for while it runs is not forgotten.
                    self._soon.discard(work)
                    _attempt(work)
                    due_at[index] = time.monotonic() + seconds
            self._wake.wait(TICK_SECONDS)


def _attempt(work: Callable[[], object]) -> None:
    try:
        work()
    except BFFError as error:
        log.warning("background: %s: %s", error.code, error.detail)
    except Exception:
        # The thread must live on: it is what completes an unfinished logout.
        log.exception("background: unexpected error")
