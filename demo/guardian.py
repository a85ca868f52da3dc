"""What cleans up if the demo is killed and can't do it itself?

A small process that reads commands from a pipe. The pipe closes when the demo ends in any way,
`kill -9` included; then the guardian ends the process groups and removes the folders that were
registered. This file imports only the standard library, so that it starts fast.
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
            # Ctrl-C in the terminal must not reach it.
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """The process id of the guardian."""
        return self._process.pid

    def watch_group(self, group: int) -> None:
        """End the process group *group* when this process ends."""
        self._send(f"+group {group}")

    def forget_group(self, group: int) -> None:
        """The group has ended; its number may be used again."""
        self._send(f"-group {group}")

    def watch_folder(self, folder: Path) -> None:
        """Remove *folder* when this process ends."""
        self._send(f"+folder {folder}")

    def close(self) -> None:
        """Close the pipe and wait until the guardian has cleaned up."""
        with contextlib.suppress(BrokenPipeError):
            self._pipe().close()
        self._process.wait()

    def _send(self, line: str) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._pipe().write(line.encode() + b"\n")
            self._pipe().flush()

    def _pipe(self) -> IO[bytes]:
        assert self._process.stdin is not None  # noqa: S101
        return self._process.stdin


def signal_group(group: int, number: int) -> bool:
    """Send the signal *number* to a process group; 0 only checks. False: it doesn't exist."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        # macOS raises PermissionError for a group of zombies.
        return False
    return True


def end_groups(groups: list[int], grace_seconds: float) -> None:
    """Send SIGTERM to the groups, and SIGKILL to those that are left after the grace period."""
    for group in groups:
        # A suspended process handles SIGTERM only once it continues.
        signal_group(group, signal.SIGTERM)
        signal_group(group, signal.SIGCONT)
    end = time.monotonic() + grace_seconds
    while time.monotonic() < end and any(signal_group(group, 0) for group in groups):
        time.sleep(POLL_SECONDS)
    for group in groups:
        signal_group(group, signal.SIGKILL)


def watch(commands: IO[str]) -> None:
    """Read commands until the pipe closes, then clean up."""
    registered: list[tuple[str, str]] = []
    for line in commands:
        command, _, name = line.rstrip("\n").partition(" ")
        if command.startswith("+"):
            registered.append((command[1:], name))
        elif (command[1:], name) in registered:
            registered.remove((command[1:], name))
    end_groups([int(name) for kind, name in registered if kind == "group"], GRACE_SECONDS)
    for kind, name in registered:
        if kind == "folder":
            shutil.rmtree(name, ignore_errors=True)


if __name__ == "__main__":
    watch(sys.stdin)
