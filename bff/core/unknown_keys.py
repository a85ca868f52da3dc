"""May an issuer's keys be fetched again for a key id that they don't list?

Once in a while for each id, so that a new key is found at once, whatever other ids were asked for.
Tokens that anyone can send also share an allowance: forged ones must not cost the issuer much.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Literal

ANYONE_BURST = 5
"""The fetches at once for tokens that anyone can send; one more is allowed after each pause."""
ANYONE_PAUSE_SECONDS = 10.0
"""Between two fetches for the same unknown key id of such tokens."""

Permission = Literal["fetch", "paused", "exhausted"]


class UnknownKeys:
    """The fetches for unknown key ids, for tokens of one kind of sender. Thread-safe.

    Args:
        pause_seconds: Between two fetches for the same key id.
        clock: Monotonic seconds.
        burst: The fetches that all ids share; None for no such limit.
    """

    def __init__(
        self, pause_seconds: float, clock: Callable[[], float], burst: int | None = None
    ) -> None:
        self._pause_seconds = pause_seconds
        self._clock = clock
        self._burst = burst
        self._asked_at: dict[str | None, float] = {}
        self._used = 0.0
        self._used_at = 0.0
        self._lock = threading.Lock()

    def permission(self, kid: str | None) -> Permission:
        """Whether to fetch now for *kid*; "fetch" is noted, so the caller must do it.

        - paused: There was a fetch for this id a moment ago, so that the id is still unknown.
        - exhausted: There was none; whether the key exists now can't be told.
        """
        with self._lock:
            now = self._clock()
            recent = {k: at for k, at in self._asked_at.items() if now - at < self._pause_seconds}
            self._asked_at = recent
            if kid in recent:
                return "paused"
            if self._burst is not None:
                self._used = max(0.0, self._used - (now - self._used_at) / self._pause_seconds)
                self._used_at = now
                if self._used > self._burst - 1:
                    return "exhausted"
                self._used += 1
            recent[kid] = now
            return "fetch"
