"""How does the demo start a program, know that it is ready, and end it?

Every program runs in a process group of its own: a Ctrl-C reaches only the demo, which ends the
others in its own order, and a program's own children end with it.
"""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from demo.guardian import Guardian, signal_group

KEPT_LINES = 400


class ChildFailed(Exception):
    """The program ended, or wasn't ready in time; the text has its output."""


class Child:
    """One program. Its output is read all the time and the last lines are kept."""

    def __init__(
        self,
        name: str,
        command: list[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        guardian: Guardian | None = None,
        echo: Callable[[str], None] | None = None,
    ) -> None:
        """Prepare a program; `start` starts it.

        Args:
            name: What people call it in messages.
            command: The program and its arguments.
            env: Its whole environment; None for ours.
            cwd: Its working directory; None for ours.
            guardian: Ends the program when this process is killed.
            echo: Called with each line that the program prints.
        """
        self.name = name
        self.command = command
        self._env = env
        self._cwd = cwd
        self._guardian = guardian
        self._echo = echo
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._ready: dict[str, Any] | None = None
        self._told = threading.Event()
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    def start(self) -> None:
        """Start the program without waiting for anything.

        Raises:
            OSError: There is no such program, or it can't be run.
        """
        self._told.clear()
        self._ready = None
        self._process = subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=None if self._env is None else dict(self._env),
            cwd=self._cwd,
            start_new_session=True,
            text=True,
            errors="replace",
        )
        if self._guardian:
            self._guardian.watch_group(self._process.pid)
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()

    @property
    def process(self) -> subprocess.Popen[str]:
        """The running (or ended) program."""
        if self._process is None:
            raise ChildFailed(f"{self.name} was not started.")
        return self._process

    @property
    def pid(self) -> int:
        """Its process id, which is its process group's number too."""
        return self.process.pid

    @property
    def started(self) -> bool:
        """Whether it was started, be it ended or not."""
        return self._process is not None

    @property
    def ready(self) -> bool:
        """Whether it has printed its ready line."""
        return self._ready is not None

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def output(self) -> str:
        """The last lines that it printed, to either stream."""
        return "\n".join(self._lines)

    def wait_ready(self, timeout_seconds: float) -> dict[str, Any]:
        """Wait for the line of JSON with `"ready": true`, and return it.

        Raises:
            ChildFailed: The program ended first, or the time is over.
        """
        self._told.wait(timeout_seconds)
        if self._ready is None:
            raise self.failure(f"wasn't ready within {timeout_seconds:g} s")
        return self._ready

    def failure(self, what: str) -> ChildFailed:
        """An error that says what went wrong, whether the program ended, and what it printed."""
        code = self.process.poll()
        if code is not None:
            self._finish_reading()
            what = f"ended with code {code}"
        return ChildFailed(f"{self.name} {what}. Its output:\n{self.output or '(none)'}")

    def signal(self, number: int) -> None:
        """Send a signal to the program and to what it has started."""
        signal_group(self.pid, number)

    def pause(self) -> None:
        """Stop it in the middle of whatever it does, with all that it started (SIGSTOP)."""
        self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on (SIGCONT)."""
        self.signal(signal.SIGCONT)

    def stop(self, grace_seconds: float = 10.0) -> int:
        """End the program: ask first, force after *grace_seconds*. Stopping twice is fine.

        Returns:
            Its exit code; negative for the signal that ended it.
        """
        process = self.process
        if process.poll() is None:
            # Only the program itself is asked: it knows in which order its own children end.
            process.terminate()
            signal_group(process.pid, signal.SIGCONT)
            try:
                process.wait(grace_seconds)
            except subprocess.TimeoutExpired:
                signal_group(process.pid, signal.SIGKILL)
        return self._buried(process)

    def kill(self) -> int:
        """End the program and what it has started at once, with SIGKILL."""
        return self._buried(self.process)

    def _buried(self, process: subprocess.Popen[str]) -> int:
        signal_group(process.pid, signal.SIGKILL)
        code = process.wait()
        self._finish_reading()
        if self._guardian:
            self._guardian.forget_group(process.pid)
        return code

    def _finish_reading(self) -> None:
        # What a stray grandchild keeps open must not keep us.
        if self._reader:
            self._reader.join(2.0)

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None  # noqa: S101
        with process.stdout:
            for line in process.stdout:
                self._take(line.rstrip("\n"))
        self._told.set()

    def _take(self, line: str) -> None:
        self._lines.append(line)
        if self._echo:
            self._echo(line)
        if self._ready is None and line.startswith("{") and '"ready"' in line:
            self._ready = _ready_line(line)
            if self._ready is not None:
                self._told.set()


def _ready_line(line: str) -> dict[str, Any] | None:
    try:
        told = json.loads(line)
    except ValueError:
        return None
    return told if isinstance(told, dict) and told.get("ready") is True else None
