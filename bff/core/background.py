"""Which work runs beside the requests? Jobs in a daemon thread: drains, sweeps, warm-up.

Every process of every replica runs these jobs, so no separate worker is needed. Claims in Redis,
each with a time limit, keep two processes from doing the same work.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable

from bff.core.errors import BFFError

log = logging.getLogger(__name__)

TICK_SECONDS = 0.5


class Background:
    """Runs each job every so many seconds, from `start` to `stop`, in one thread.

    An error is logged; the job runs again when it is next due.

    Args:
        jobs: `(seconds between two runs, work)`; more can be added with `every`.
    """

    def __init__(self, jobs: Iterable[tuple[float, Callable[[], object]]] = ()) -> None:
        self._jobs = list(jobs)
        self._soon: set[Callable[[], object]] = set()
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._running_job = threading.Lock()

    def every(self, seconds: float, work: Callable[[], object]) -> None:
        """Add a job: run *work* at the start, and again *seconds* after each run.

        Raises:
            RuntimeError: The thread runs already, and would not see the job.
        """
        if self._thread is not None:
            raise RuntimeError("a job was added after the start")
        self._jobs.append((seconds, work))

    def start(self) -> None:
        """Start in this process, and again in each child that is forked from it.

        A fork waits for the running job. The child has no thread that would finish the job, so a
        lock that it holds (that of the provider's metadata, for example) would never be released.
        """
        self._run_thread()
        os.register_at_fork(
            before=self._running_job.acquire,
            after_in_parent=self._running_job.release,
            after_in_child=self._start_in_child,
        )

    def stop(self, timeout_seconds: float = 5) -> None:
        """Stop after the running job."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout_seconds)

    def run_soon(self, work: Callable[[], object]) -> None:
        """Run the job with this *work* now, or after the running job; call it from any thread."""
        self._soon.add(work)
        self._wake.set()

    def run_once(self) -> None:
        """Run every job once, in the calling thread."""
        for _, work in self._jobs:
            self._run(work)

    def _start_in_child(self) -> None:
        self._running_job.release()
        if not self._stop.is_set():
            # The parent's event may have been locked at the instant of the fork.
            self._stop = threading.Event()
            self._run_thread()

    def _run_thread(self) -> None:
        # A child's copy of the event may have been locked by the parent's thread.
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="bff-background", daemon=True)
        self._thread.start()

    def _loop(self) -> None:
        due_at = [0.0] * len(self._jobs)
        while not self._stop.is_set():
            self._wake.clear()
            for index, (seconds, work) in enumerate(self._jobs):
                if work in self._soon or time.monotonic() >= due_at[index]:
                    # Before the work: a request that arrives while it runs must not be lost.
                    self._soon.discard(work)
                    self._run(work)
                    due_at[index] = time.monotonic() + seconds
            self._wake.wait(TICK_SECONDS)

    def _run(self, work: Callable[[], object]) -> None:
        with self._running_job:
            _attempt(work)


def _attempt(work: Callable[[], object]) -> None:
    try:
        work()
    except BFFError as error:
        level = max(logging.WARNING, error.log_level)
        log.log(level, "background: %s: %s %s", error.code, error.detail, error.set_by)
    except Exception:
        # The thread must go on: it completes logouts that were interrupted.
        log.exception("background: unexpected error")
