"""How is a program started on one core, and how much CPU time and memory has it used?

Every program leads its own session (`setsid`), so that it and its children are found by the
session's number.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.support.processes import Process

SERVER_CORE = 0
"""For the contestants and their own servers."""
OTHER_CORE = 1
"""For Redis, the provider, the upstream and the load."""
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
READY_SECONDS = 30.0
PLACES = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"


class Missing(Exception):
    """A program isn't installed; the message names it."""


def find(name: str) -> str:
    """The path of a program; raises Missing."""
    found = shutil.which(name) or shutil.which(name, path=PLACES)
    if found is None:
        raise Missing(f"{name} is not installed; `.ci/bench-peers` installs it on Debian.")
    return found


class Pinned(Process):
    """A program that uses one core only, in its own folder."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        core: int,
        folder: Path,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Prepare it; *env* is its whole environment except `PATH`."""
        pinned = [find("taskset"), "-c", str(core), *command]
        # The folder, too: a .env file in the benchmark's working directory must not be read.
        super().__init__(pinned, name=name, env={"PATH": PLACES} | dict(env or {}), cwd=folder)

    def cpu_seconds(self) -> float:
        """The CPU time of it and its children, in user and system mode."""
        return sum(_cpu_ticks(fields) for _, fields in self._processes()) / TICKS_PER_SECOND

    def resident_bytes(self) -> int:
        """The memory of it and its children; shared pages count once (PSS)."""
        return sum(_proportional_bytes(pid) for pid, _ in self._processes())

    def _processes(self) -> Iterator[tuple[int, list[str]]]:
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                fields = _stat(folder)
                if fields and int(fields[3]) == self.pid:
                    yield int(folder.name), fields


def _stat(process: Path) -> list[str]:
    """`proc(5)`: the fields of `stat` after the name; the first is the state."""
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _cpu_ticks(fields: list[str]) -> int:
    """utime, stime, and those of ended children: cutime, cstime."""
    return sum(int(field) for field in fields[11:15])


def _proportional_bytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
