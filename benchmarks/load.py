"""How is a contestant put under load, and what came of it? wrk, with the sessions in rotation."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.ground import HERE
from benchmarks.programs import OTHER_CORE, find

GRACE_SECONDS = 30


@dataclass(frozen=True)
class Load:
    """What wrk saw."""

    requests: int
    seconds: float
    p50_us: int
    p99_us: int
    failed: int
    """Connections that broke, time-outs, and answers with 400 and above."""

    @property
    def per_second(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds


def run(url: str, sessions: Path, *, connections: int, seconds: int, size_bytes: int) -> Load:
    """Ask *url* over *connections* at once, as fast as answers come, for some *seconds*.

    Args:
        sessions: A file for `rotate.lua`.
        size_bytes: How long each answer's body has to be at least.

    Raises:
        AssertionError: Answers were too short to be the right ones.
    """
    command = [
        find("taskset"), "-c", str(OTHER_CORE), find("wrk"), "--threads", "1",
        "--connections", str(connections), "--duration", f"{seconds}s", "--timeout", "20s",
        "--script", str(HERE / "rotate.lua"), url, "--", str(sessions),
    ]  # fmt: skip
    told = subprocess.run(
        command, capture_output=True, text=True, timeout=seconds + GRACE_SECONDS, check=False
    )
    assert told.returncode == 0, told.stdout + told.stderr
    said = json.loads(told.stdout.splitlines()[-1])
    answered = said["requests"] - said["failed"]
    assert said["bytes"] >= answered * size_bytes, f"{url}: {said}"
    return Load(
        said["requests"],
        said["microseconds"] / 1e6,
        p50_us=said["p50"],
        p99_us=said["p99"],
        failed=said["failed"],
    )
