"""What does `python -m bff check` say of a running installation, perhaps with wrong settings?"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.support.cluster import Cluster

LIMIT_SECONDS = 60


def statuses(cluster: Cluster, folder: Path, **changed: str) -> dict[str, str]:
    """The status of each row about the provider, by its subject.

    Args:
        cluster: Whose provider and settings.
        folder: An empty one; a `.env` in it would count.
        changed: Variables that replace those of the installation.
    """
    ended = subprocess.run(
        [sys.executable, "-m", "bff", "check", "--json"],
        env={"PYTHONPATH": ":".join(sys.path)} | cluster.environment() | changed,
        cwd=folder, capture_output=True, text=True, timeout=LIMIT_SECONDS,
    )  # fmt: skip
    assert not ended.stderr
    return {row["subject"]: row["status"] for row in json.loads(ended.stdout)["findings"]}
