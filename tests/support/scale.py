"""How much does a test run: everything (`make stress`) or a part of it (`make test`)?

At full scale a module with `pytestmark = pytest.mark.session_cache` runs with the session cache and
without it; in a reduced run it takes one of the two.
"""

from __future__ import annotations

import os
import zlib

VARIABLE = "BFF_TEST_SCALE"
CACHE_VARIABLE = "TEST_SESSION_CACHE"
"""The setting of the current test; not called `BFF_…`, since those are settings."""
LEASE = "BFF_SESSION_LEASE_MILLISECONDS"
CACHE = {"cache on": "250", "cache off": "0"}
"""In milliseconds."""


def is_full() -> bool:
    """Whether everything is run."""
    return os.environ.get(VARIABLE) == "full"


def rounds(full: int, reduced: int) -> int:
    """Return *full* if `BFF_TEST_SCALE=full`, else *reduced*."""
    return full if is_full() else reduced


def cache_settings(module: str, about_logout: bool) -> list[str]:
    """Return the names in `CACHE` with which the tests of *module* are run."""
    if about_logout and is_full():
        return list(CACHE)
    return [list(CACHE)[zlib.crc32(module.encode()) % len(CACHE)]]


def cache_environment(milliseconds: str | None = None) -> dict[str, str]:
    """Return the settings of a BFF's session cache; None stands for those of the current test."""
    return {LEASE: milliseconds or os.environ.get(CACHE_VARIABLE, CACHE["cache off"])}
