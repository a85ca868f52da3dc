"""How much does a test run: everything (`make stress`) or a part of it (`make test`)?

Tests about logout (`pytestmark = pytest.mark.memory`) run with the session memory and without it;
in a reduced run each of their modules takes one of the two.
"""

from __future__ import annotations

import os
import zlib

VARIABLE = "BFF_TEST_SCALE"
MEMORY_VARIABLE = "TEST_SESSION_MEMORY"
"""What the test under way runs in; not a `BFF_` name, since those are settings."""
LEASE = "BFF_SESSION_LEASE_MILLISECONDS"
MEMORY = {"memory on": "250", "memory off": "0"}
"""In milliseconds."""


def is_full() -> bool:
    """Whether everything is run."""
    return os.environ.get(VARIABLE) == "full"


def rounds(full: int, reduced: int) -> int:
    """*full* where `BFF_TEST_SCALE=full`, else *reduced*."""
    return full if is_full() else reduced


def memory_settings(module: str, about_logout: bool) -> list[str]:
    """Which of `MEMORY` the tests of *module* are run in."""
    if about_logout and is_full():
        return list(MEMORY)
    return [list(MEMORY)[zlib.crc32(module.encode()) % len(MEMORY)]]


def memory_environment(milliseconds: str | None = None) -> dict[str, str]:
    """The settings of a BFF's session memory; that of the test under way if None is given."""
    return {LEASE: milliseconds or os.environ.get(MEMORY_VARIABLE, MEMORY["memory off"])}
