"""How is a contestant put under load, and with which result? wrk, with rotating sessions."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.programs import OTHER_CORE, find
from benchmarks.testbed import HERE

GRACE_SECONDS = 30


@dataclass(frozen=True)
class Load:
    """The result of wrk."""

    requests: int
    seconds: float
    p50_us: int
    p99_us: int
    failed: int
    """Broken connections, time-outs, and responses with 400 and above."""

    @property
    def per_second(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds


def run(url: str, sessions: Path, *, connections: int, seconds: int, size_bytes: int) -> Load:
    """Request *url* over *connections* at once, without pauses, for some *seconds*.

    Args:
        sessions: A file for `rotate.lua`.
        size_bytes: The minimal size of the body of each response.

    Raises:
        AssertionError: The responses were too short.
    """
    command = [
        find("taskset"), "-c", str(OTHER_CORE), find("wrk"), "--threads", "1",
        "--connections", str(connections), "--duration", f"{seconds}s", "--timeout", "20s",
        "--script", str(HERE / "rotate.lua"), url, "--", str(sessions),
    ]  # fmt: skip
    output = subprocess.run(
        command, capture_output=True, text=True, timeout=seconds + GRACE_SECONDS, check=False
    )
    assert output.returncode == 0, output.stdout + output.stderr
    result = json.loads(output.stdout.splitlines()[-1])
    answered = result["requests"] - result["failed"]
    assert result["bytes"] >= answered * size_bytes, f"{url}: {result}"
    return Load(
        result["requests"],
        result["microseconds"] / 1e6,
        p50_us=result["p50"],
        p99_us=result["p99"],
        failed=result["failed"],
    )
