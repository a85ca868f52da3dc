"""How does a test run the proof, and read its outcome?"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.scale import rounds

ROOT = Path(__file__).resolve().parents[2]
LIMIT_SECONDS = 600
ALL = rounds(full=1, reduced=0)
"""At full scale every scenario is run, also by every broken build."""


def prove(*arguments: str, module: str = "demo.prove") -> tuple[int, dict[str, Any]]:
    """Run the proof; returns its exit code and its JSON."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments, "--json"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=LIMIT_SECONDS,
    )
    assert done.stdout.startswith("{"), done.stderr
    return done.returncode, json.loads(done.stdout)


def rows(result: dict[str, Any], outcome: str) -> dict[str, str]:
    return {row["id"]: row["got"] for row in result["rows"] if row["outcome"] == outcome}
