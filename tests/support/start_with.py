"""How does a test load its own module into a program that it starts?"""

from __future__ import annotations

from pathlib import Path

SUPPORT = Path(__file__).resolve().parent


def start_with(module: str, **variables: str) -> dict[str, str]:
    """Environment variables that make a program import *module* first; it reads *variables*."""
    path = f"{SUPPORT / 'at_start'}:{SUPPORT.parent.parent}"
    return {"PYTHONPATH": path, "TEST_AT_START": module} | variables
