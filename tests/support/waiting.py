"""How does a test wait for an event, without guessing how long it takes?"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import requests

POLL_SECONDS = 0.02

T = TypeVar("T")


def wait_for(check: Callable[[], bool], what: str, timeout_seconds: float = 20) -> None:
    """Return as soon as *check* is true; fail with *what* after the timeout."""
    give_up_at = time.monotonic() + timeout_seconds
    while not check():
        assert time.monotonic() < give_up_at, f"not within {timeout_seconds:g} s: {what}"
        time.sleep(POLL_SECONDS)


def answered(ask: Callable[[], requests.Response]) -> int:
    """Return the status once it isn't 503: after a failover, keys may be moving."""
    statuses: list[int] = []

    def asked() -> bool:
        statuses.append(ask().status_code)
        return statuses[-1] != 503

    wait_for(asked, "a response other than 503", 30)
    return statuses[-1]


def once_below(limit: float, measure: Callable[[], float], what: str, tries: int = 3) -> None:
    """Return once *measure* returns less than *limit*; fail with *what* after so many tries.

    A stall of the machine affects one try; code that is slow is slow each time.
    """
    measured: list[float] = []
    while not measured or measured[-1] >= limit:
        assert len(measured) < tries, f"{what}: {measured}, none below {limit:g}"
        measured.append(measure())


def within(seconds: float, ask: Callable[[], T], tries: int = 3) -> T:
    """Return what *ask* returns once it takes less than *seconds*, as `once_below`."""
    responses: list[T] = []

    def took() -> float:
        began = time.monotonic()
        responses.append(ask())
        return time.monotonic() - began

    once_below(seconds, took, "seconds to the response", tries)
    return responses[-1]
