"""How do tests get `examples/react`, built as its README says?"""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).resolve().parents[3] / "examples/react"
TIMEOUT_SECONDS = 180


@cache
def built() -> Path:
    """The folder with the result of `npm run build`; `make interop` has run `npm ci`."""
    if not (EXAMPLE / "node_modules").is_dir():
        pytest.fail("examples/react/node_modules is missing; run `make interop`.")
    told = subprocess.run(
        ["npm", "run", "build"],  # noqa: S607
        cwd=EXAMPLE, capture_output=True, text=True, check=False, timeout=TIMEOUT_SECONDS,
    )  # fmt: skip
    assert told.returncode == 0, told.stdout + told.stderr
    return EXAMPLE / "dist"
