"""How many rounds does a test run: all of them (`make stress`) or a few (`make test`)?"""

from __future__ import annotations

import os

VARIABLE = "BFF_TEST_SCALE"


def rounds(full: int, reduced: int) -> int:
    """*full* where `BFF_TEST_SCALE=full`, else *reduced*."""
    return full if os.environ.get(VARIABLE) == "full" else reduced
