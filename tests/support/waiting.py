"""How does a test wait for something that comes, without guessing how long it takes?"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

POLL_SECONDS = 0.02

T = TypeVar("T")


def wait_for(check: Callable[[], bool], what: str, timeout_seconds: float = 20) -> None:
    """Return as soon as *check* is true; fail, saying *what*, when the time is over."""
    give_up_at = time.monotonic() + timeout_seconds
    while not check():
        assert time.monotonic() < give_up_at, f"not within {timeout_seconds:g} s: {what}"
        time.sleep(POLL_SECONDS)


def within(seconds: float, ask: Callable[[], T], tries: int = 3) -> T:
    """What *ask* returns once it takes less than *seconds*.

    A stall of this machine spoils one try; what is slow by itself is slow each time.
    """
    for _ in range(tries):
        began = time.monotonic()
        answer = ask()
        took = time.monotonic() - began
        if took < seconds:
            return answer
    raise AssertionError(f"{took:.2f} s instead of {seconds:g} s, {tries} times")
