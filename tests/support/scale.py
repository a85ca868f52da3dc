"""How much does a test run: everything (`make stress`) or a part of it (`make test`)?"""

from __future__ import annotations

import os

VARIABLE = "BFF_TEST_SCALE"
MEMORY = {"memory on": "500", "memory off": "0"}
"""The settings of the session memory that tests about logout are run in, in milliseconds."""


def rounds(full: int, reduced: int) -> int:
    """*full* where `BFF_TEST_SCALE=full`, else *reduced*."""
    return full if os.environ.get(VARIABLE) == "full" else reduced
