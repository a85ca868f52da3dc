"""How does a test wait for something that comes, without guessing how long it takes?"""

from __future__ import annotations

import time
from collections.abc import Callable

POLL_SECONDS = 0.02


def wait_for(check: Callable[[], bool], what: str, timeout_seconds: float = 20) -> None:
    """Return as soon as *check* is true; fail, saying *what*, when the time is over."""
    give_up_at = time.monotonic() + timeout_seconds
    while not check():
        assert time.monotonic() < give_up_at, f"not within {timeout_seconds:g} s: {what}"
        time.sleep(POLL_SECONDS)
