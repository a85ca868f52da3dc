"""What does a process do besides answering? It completes ends, sweeps, and warms up the provider.

Daemon threads in each process; no second daemon is needed. All replicas run it, and claims with
leases keep them out of each other's way.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable

from bff.core.errors import BFFError

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
        self._job_under_way = threading.Lock()

    def start(self) -> None:
        """Start in this process, and again in a child that is forked from it.

        A fork waits for the job under way: the child has no thread that would finish it, so the
        locks that it holds (of the provider's metadata, say) would be held there for ever.
        """
        self._run_thread()
        os.register_at_fork(
            before=self._job_under_way.acquire,
            after_in_parent=self._job_under_way.release,
            after_in_child=self._start_in_child,
        )

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
            self._run(work)

    def _start_in_child(self) -> None:
        self._job_under_way.release()
        if not self._stop.is_set():
            # The old one's own lock may have been held at the instant of the fork.
            self._stop = threading.Event()
            self._run_thread()

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
                    self._run(work)
                    due_at[index] = time.monotonic() + seconds
            self._wake.wait(TICK_SECONDS)

    def _run(self, work: Callable[[], object]) -> None:
        with self._job_under_way:
            _attempt(work)


def _attempt(work: Callable[[], object]) -> None:
    try:
        work()
    except BFFError as error:
        log.warning("background: %s: %s", error.code, error.detail)
    except Exception:
        # The thread must live on: it is what completes an unfinished logout.
        log.exception("background: unexpected error")
