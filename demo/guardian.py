"""What tidies up when the demo is killed and can't do it itself?

A small process of its own that reads orders from a pipe. The pipe ends when the demo ends, however
that happens, `kill -9` included; then the guardian ends the process groups and removes the folders
that it was told of. This file imports nothing but the standard library, so that it starts at once.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

GRACE_SECONDS = 3.0
POLL_SECONDS = 0.02


class Guardian:
    """The demo's end of the pipe."""

    def __init__(self) -> None:
        """Start the guardian process."""
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            # A Ctrl-C in the terminal must not reach it.
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """The guardian's own process id."""
        return self._process.pid

    def watch_group(self, group: int) -> None:
        """End the process group *group* when this process ends."""
        self._order(f"+group {group}")

    def forget_group(self, group: int) -> None:
        """The group is gone; its number may soon be another's."""
        self._order(f"-group {group}")

    def watch_folder(self, folder: Path) -> None:
        """Remove *folder* when this process ends."""
        self._order(f"+folder {folder}")

    def close(self) -> None:
        """Let the guardian do what is left to do, and wait until it has."""
        with contextlib.suppress(BrokenPipeError):
            self._pipe().close()
        self._process.wait()

    def _order(self, line: str) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._pipe().write(line.encode() + b"\n")
            self._pipe().flush()

    def _pipe(self) -> IO[bytes]:
        assert self._process.stdin is not None  # noqa: S101
        return self._process.stdin


def signal_group(group: int, number: int) -> bool:
    """Send the signal *number* to a process group; 0 only asks. False: there is none."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        # macOS says "not permitted" of a group that consists of zombies.
        return False
    return True


def end_groups(groups: list[int], grace_seconds: float) -> None:
    """Ask the groups to end; force those that are left when the time is over."""
    for group in groups:
        # A paused process takes the request only once it runs again.
        signal_group(group, signal.SIGTERM)
        signal_group(group, signal.SIGCONT)
    end = time.monotonic() + grace_seconds
    while time.monotonic() < end and any(signal_group(group, 0) for group in groups):
        time.sleep(POLL_SECONDS)
    for group in groups:
        signal_group(group, signal.SIGKILL)


def watch(orders: IO[str]) -> None:
    """Read orders until the pipe ends, then tidy up."""
    things: list[tuple[str, str]] = []
    for line in orders:
        kind, _, thing = line.rstrip("\n").partition(" ")
        if kind.startswith("+"):
            things.append((kind[1:], thing))
        elif (kind[1:], thing) in things:
            things.remove((kind[1:], thing))
    end_groups([int(thing) for kind, thing in things if kind == "group"], GRACE_SECONDS)
    for kind, thing in things:
        if kind == "folder":
            shutil.rmtree(thing, ignore_errors=True)


if __name__ == "__main__":
    watch(sys.stdin)
