"""How does an answer that is still being sent end when its session ends?

Event streams and long downloads outlast the check at their beginning. Each process looks, twice a
second and in one round trip, whether the sessions of its open answers are still there, and breaks
off those whose session is gone. Redis being away breaks nothing: an outage is not a logout.
"""

from __future__ import annotations

import threading
from typing import Protocol

from bff import audit
from bff.store import Records


class Breakable(Protocol):
    """An answer under way."""

    @property
    def open(self) -> bool:
        """Whether it is still being sent."""

    def break_off(self) -> None:
        """End it soon, from any thread."""


class LiveAnswers:
    """The open answers of this process, by session."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._open: dict[str, list[Breakable]] = {}
        self._lock = threading.Lock()

    def follow(self, session_key: str, answer: Breakable) -> None:
        """Break *answer* off when its session ends."""
        with self._lock:
            self._open.setdefault(session_key, []).append(answer)

    def break_ended(self) -> int:
        """Look at all sessions with open answers; returns how many answers were broken off.

        Raises:
            StoreUnavailable: Redis is away; the next look finds the same.
        """
        keys = self._still_open()
        if not keys:
            return 0
        gone = [
            key for key, alive in zip(keys, self._records.exist(keys), strict=True) if not alive
        ]
        broken = 0
        for key in gone:
            with self._lock:
                answers = self._open.pop(key, [])
            for answer in answers:
                answer.break_off()
                broken += 1
                audit.record("stream_ended", "ok", reason="session_ended", session_key=key)
        return broken

    def _still_open(self) -> list[str]:
        """The sessions to look at; answers that have been sent are forgotten."""
        with self._lock:
            for key in list(self._open):
                left = [answer for answer in self._open[key] if answer.open]
                if left:
                    self._open[key] = left
                else:
                    del self._open[key]
            return list(self._open)
