"""How is a program started on one core, and what has it cost so far?

Every program leads a session of its own (`setsid`), so that the session's number finds it and all
that it has started.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.support.processes import Process

SERVER_CORE = 0
"""For the contestants and what belongs to them."""
OTHER_CORE = 1
"""For Redis, the provider, the upstream and the load."""
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
READY_SECONDS = 30.0
PLACES = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"


class Missing(Exception):
    """A program isn't installed; the text says which."""


def find(name: str) -> str:
    """Where a program is; raises Missing."""
    found = shutil.which(name) or shutil.which(name, path=PLACES)
    if found is None:
        raise Missing(f"{name} is not installed; `.ci/bench-peers` installs it on Debian.")
    return found


class Pinned(Process):
    """A program that may use one core only, in a folder of its own."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        core: int,
        folder: Path,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Prepare it; *env* is its whole environment but for `PATH`."""
        pinned = [find("taskset"), "-c", str(core), *command]
        super().__init__(pinned, name=name, env={"PATH": PLACES} | dict(env or {}))
        # No program shall find the `.env` of the folder that the benchmark was started in.
        self._cwd = folder

    def cpu_seconds(self) -> float:
        """What it and all that it started have used of the processor, in user and system mode."""
        return sum(_cpu_ticks(fields) for _, fields in self._members()) / TICKS_PER_SECOND

    def resident_bytes(self) -> int:
        """Its memory with all that it started; a page that several share counts once (PSS)."""
        return sum(_proportional_bytes(pid) for pid, _ in self._members())

    def _members(self) -> Iterator[tuple[int, list[str]]]:
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                fields = _stat(folder)
                if fields and int(fields[3]) == self.pid:
                    yield int(folder.name), fields


def _stat(process: Path) -> list[str]:
    """`proc(5)`: the fields of `stat` behind the name, so the first is the state."""
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _cpu_ticks(fields: list[str]) -> int:
    """utime, stime, and what ended children have used: cutime, cstime."""
    return sum(int(field) for field in fields[11:15])


def _proportional_bytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
