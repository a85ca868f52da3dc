"""What the tests of the machine API share."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def ends_are_quick(ends_answer_at_once: None) -> None:
    """These tests are about messages; how an end waits, tests/revocation tells."""
