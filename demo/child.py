"""How does the demo start a program, wait until it is ready, and stop it?

Every program runs in its own process group: Ctrl-C reaches only the demo, which stops the others in
order, and the children of a program end with it.
"""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from demo.guardian import Guardian, signal_group

OUTPUT_MAX_LINES = 400
STOP_POLL_SECONDS = 0.002
STOPPED_STATES = "TtZX"


class ChildFailed(Exception):
    """The program ended, or wasn't ready in time; the message holds its output."""


class Child:
    """One program; a thread reads its output and keeps the last lines."""

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
            name: Its name in messages.
            command: The program and its arguments.
            env: Its whole environment; None: that of this process.
            cwd: Its working directory; None: that of this process.
            guardian: Stops the program if this process is killed.
            echo: Called with each line that the program prints.
        """
        self.name = name
        self.command = command
        self._env = env
        self._cwd = cwd
        self._guardian = guardian
        self._echo = echo
        self._lines: deque[str] = deque(maxlen=OUTPUT_MAX_LINES)
        self._ready: dict[str, Any] | None = None
        self._ready_or_ended = threading.Event()
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    def start(self) -> None:
        """Start the program without waiting.

        Raises:
            OSError: The program doesn't exist or can't be run.
        """
        self._ready_or_ended.clear()
        self._ready = None
        self._process = self._spawn()
        if self._guardian:
            self._guardian.watch_group(self._process.pid)
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()

    def _spawn(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
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

    @property
    def process(self) -> subprocess.Popen[str]:
        """The running (or ended) program."""
        if self._process is None:
            raise ChildFailed(f"{self.name} was not started.")
        return self._process

    @property
    def pid(self) -> int:
        """Its process id, which is also the id of its process group."""
        return self.process.pid

    @property
    def started(self) -> bool:
        """Whether it was started; it may have ended since."""
        return self._process is not None

    @property
    def ready(self) -> bool:
        """Whether it has printed its ready line."""
        return self._ready is not None

    @property
    def running(self) -> bool:
        """Whether it was started and hasn't ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def output(self) -> str:
        """The last lines of its output, stdout and stderr."""
        return "\n".join(self._lines)

    def wait_ready(self, timeout_seconds: float) -> dict[str, Any]:
        """Wait for the line of JSON with `"ready": true`, and return it.

        Raises:
            ChildFailed: The program ended first, or the wait timed out.
        """
        self._ready_or_ended.wait(timeout_seconds)
        if self._ready is None:
            raise self.failure(f"wasn't ready within {timeout_seconds:g} s")
        return self._ready

    def failure(self, what: str) -> ChildFailed:
        """Return an error with the problem, the exit code if it ended, and the output."""
        code = self.process.poll()
        if code is not None:
            self._finish_reading()
            what = f"ended with code {code}"
        return ChildFailed(f"{self.name} {what}. Its output:\n{self.output or '(none)'}")

    def signal(self, number: int) -> None:
        """Send a signal to the program and its children."""
        signal_group(self.pid, number)

    def pause(self) -> None:
        """Suspend it and its children (SIGSTOP); returns when no thread of theirs runs any more.

        The thread that gets the signal stops the others, when it has its turn: on a busy machine
        they go on serving until then.
        """
        self.signal(signal.SIGSTOP)
        while _runs(self.pid):
            time.sleep(STOP_POLL_SECONDS)

    def resume(self) -> None:
        """Let it continue (SIGCONT)."""
        self.signal(signal.SIGCONT)

    def stop(self, grace_seconds: float = 10.0) -> int:
        """Stop the program: SIGTERM, and SIGKILL after *grace_seconds*. Stopping twice is fine.

        Returns:
            Its exit code; negative if a signal ended it.
        """
        process = self.process
        if process.poll() is None:
            # SIGTERM goes to the program alone: it stops its children in its own order.
            process.terminate()
            signal_group(process.pid, signal.SIGCONT)
            try:
                process.wait(grace_seconds)
            except subprocess.TimeoutExpired:
                signal_group(process.pid, signal.SIGKILL)
        return self._reap(process)

    def kill(self) -> int:
        """Kill the program and its children (SIGKILL)."""
        return self._reap(self.process)

    def _reap(self, process: subprocess.Popen[str]) -> int:
        signal_group(process.pid, signal.SIGKILL)
        code = process.wait()
        self._finish_reading()
        if self._guardian:
            self._guardian.forget_group(process.pid)
        return code

    def _finish_reading(self) -> None:
        # A grandchild that keeps the pipe open must not block this thread.
        if self._reader:
            self._reader.join(2.0)

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None  # noqa: S101
        with process.stdout:
            for line in process.stdout:
                self._take(line.rstrip("\n"))
        self._ready_or_ended.set()

    def _take(self, line: str) -> None:
        self._lines.append(line)
        if self._echo:
            self._echo(line)
        if self._ready is None and line.startswith("{") and '"ready"' in line:
            self._ready = _ready_line(line)
            if self._ready is not None:
                self._ready_or_ended.set()


def _ready_line(line: str) -> dict[str, Any] | None:
    try:
        parsed = json.loads(line)
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) and parsed.get("ready") is True else None


def _runs(group_id: int) -> bool:
    """Whether a thread of the process group isn't stopped; false where there is no `/proc`."""
    for file in Path("/proc").glob("[0-9]*/task/[0-9]*/stat"):
        try:
            state, _, its_group_id = file.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue  # It has ended.
        if int(its_group_id) == group_id and state not in STOPPED_STATES:
            return True
    return False
