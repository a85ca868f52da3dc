"""How do the tests of this folder get the code of an earlier version?

`make upgrade` runs them, with the commit in `UPGRADE_FROM`. Without it they are not collected: a
copy of the source without its git history can't run them.
"""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cluster import ROOT
from tests.support.processes import guardian

VARIABLE = "UPGRADE_FROM"

if VARIABLE not in os.environ:
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session")
def earlier() -> Iterator[Path]:
    """The source tree of the earlier version, removed at the end."""
    with tempfile.TemporaryDirectory(prefix="bff-earlier-") as folder:
        guardian().watch_folder(Path(folder))
        packed = subprocess.run(
            ["git", "archive", "--format=tar", os.environ[VARIABLE]],
            cwd=ROOT,
            capture_output=True,
            check=False,
        )
        assert packed.returncode == 0, packed.stderr.decode()
        with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
            archive.extractall(folder, filter="data")
        yield Path(folder)
