"""When do the demo's programs stop, and in which order?

In the reverse order of their start: at Ctrl-C, at SIGTERM, when the terminal closes, and when one
of them ends by itself. If the demo itself is killed, the guardian stops them.
"""

from __future__ import annotations

import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

from demo.child import Child
from demo.guardian import Guardian

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
POLL_SECONDS = 0.02
GRACE_SECONDS = 8.0


class StopRequested(Exception):
    """A stop signal arrived."""


class Supervisor:
    """Owns the programs, the guardian and a folder; use it as a context manager."""

    def __init__(self) -> None:
        """Prepare without starting anything."""
        self._stops: list[Callable[[], object]] = []
        self._children: list[Child] = []
        self._wake = threading.Event()
        self._stop_requested = False
        self._handlers_before: dict[int, Any] = {}

    def __enter__(self) -> Supervisor:
        for number in STOP_SIGNALS:
            self._handlers_before[number] = signal.signal(number, self._request_stop)
        # The end of a program wakes the waiting thread.
        self._handlers_before[signal.SIGCHLD] = signal.signal(
            signal.SIGCHLD, lambda *_: self._wake.set()
        )
        self.guardian = Guardian()
        self.folder = Path(tempfile.mkdtemp(prefix="bff-demo-"))
        self.guardian.watch_folder(self.folder)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for stop in reversed(self._stops):
            stop()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.guardian.close()
        for number, handler in self._handlers_before.items():
            signal.signal(number, handler)

    def start(self, child: Child) -> Child:
        """Start a program and watch it."""
        self.on_exit(lambda: self._end(child))
        child.start()
        self.watch(child)
        return child

    def watch(self, child: Child) -> None:
        """Watch a program that was started elsewhere."""
        self._children.append(child)

    def on_exit(self, stop: Callable[[], object]) -> None:
        """Call *stop* at the end, before those that were registered earlier."""
        self._stops.append(stop)

    def wait_until(self, check: Callable[[], bool], child: Child, timeout_seconds: float) -> None:
        """Wait until *check* is true of *child*.

        Raises:
            ChildFailed: A program ended, or the wait timed out.
            StopRequested: A stop signal arrived.
        """
        end = time.monotonic() + timeout_seconds
        while not check():
            self._check()
            if time.monotonic() > end:
                raise child.failure(f"wasn't ready within {timeout_seconds:g} s")
            self._wake.wait(POLL_SECONDS)

    def wait(self) -> NoReturn:
        """Wait until a program ends or a stop signal arrives.

        Raises:
            ChildFailed: A program ended.
            StopRequested: A stop signal arrived.
        """
        while True:
            self._wake.clear()
            self._check()
            self._wake.wait()

    def _check(self) -> None:
        if self._stop_requested:
            raise StopRequested
        for child in self._children:
            if not child.running:
                raise child.failure("ended")

    def _request_stop(self, *_: object) -> None:
        self._stop_requested = True
        self._wake.set()

    def _end(self, child: Child) -> None:
        if child.started:
            child.stop(GRACE_SECONDS)
