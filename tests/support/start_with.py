"""How does a test get a module of its own into a program that it starts?"""

from __future__ import annotations

from pathlib import Path

SUPPORT = Path(__file__).resolve().parent


def start_with(module: str, **variables: str) -> dict[str, str]:
    """Environment variables with which a program imports *module* first; *variables* are for it."""
    path = f"{SUPPORT / 'at_start'}:{SUPPORT.parent.parent}"
    return {"PYTHONPATH": path, "TEST_AT_START": module} | variables
