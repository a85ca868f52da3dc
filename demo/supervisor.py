"""How do the demo's programs live and die together?

They stop in the reverse order of their start, at Ctrl-C, at SIGTERM, when the terminal goes, and
when one of them ends by itself. What the demo can't do any more because it was killed, the guardian
does.
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


class StopAsked(Exception):
    """Somebody wants the demo to end."""


class Supervisor:
    """Owns the programs, the guardian and a folder; use it as a context manager."""

    def __init__(self) -> None:
        """Prepare; nothing runs yet."""
        self._stops: list[Callable[[], object]] = []
        self._children: list[Child] = []
        self._wake = threading.Event()
        self._asked = False
        self._former: dict[int, Any] = {}

    def __enter__(self) -> Supervisor:
        for number in STOP_SIGNALS:
            self._former[number] = signal.signal(number, self._ask)
        # A program that ends wakes us.
        self._former[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: self._wake.set())
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
        for number, handler in self._former.items():
            signal.signal(number, handler)

    def start(self, child: Child) -> Child:
        """Start a program and keep an eye on it."""
        self.at_end(lambda: self._end(child))
        child.start()
        self.keep(child)
        return child

    def keep(self, child: Child) -> None:
        """Keep an eye on a program that was started elsewhere."""
        self._children.append(child)

    def at_end(self, stop: Callable[[], object]) -> None:
        """Call *stop* at the end, before what was named earlier."""
        self._stops.append(stop)

    def wait_until(self, check: Callable[[], bool], child: Child, timeout_seconds: float) -> None:
        """Wait until *check* says yes about *child*.

        Raises:
            ChildFailed: A program ended, or the time is over.
            StopAsked: Somebody wants the demo to end.
        """
        end = time.monotonic() + timeout_seconds
        while not check():
            self._look()
            if time.monotonic() > end:
                raise child.failure(f"wasn't ready within {timeout_seconds:g} s")
            self._wake.wait(POLL_SECONDS)

    def wait(self) -> NoReturn:
        """Wait until a program ends or somebody wants the demo to end.

        Raises:
            ChildFailed: A program ended.
            StopAsked: Somebody wants the demo to end.
        """
        while True:
            self._wake.clear()
            self._look()
            self._wake.wait()

    def _look(self) -> None:
        if self._asked:
            raise StopAsked
        for child in self._children:
            if not child.running:
                raise child.failure("ended")

    def _ask(self, *_: object) -> None:
        self._asked = True
        self._wake.set()

    def _end(self, child: Child) -> None:
        if child.started:
            child.stop(GRACE_SECONDS)
