"""How does an answer that is still being sent end when its session ends?

Event streams and long downloads outlast the check at their beginning. Each process looks, twice a
second and in one round trip, whether the sessions of its open answers are still there, and breaks
off those whose session is gone. Redis being away breaks nothing: an outage is not a logout.
"""

from __future__ import annotations

import threading
from typing import Protocol

from bff.core import audit
from bff.core.errors import Overloaded
from bff.store import SessionRecords


class Breakable(Protocol):
    """An answer under way."""

    @property
    def open(self) -> bool:
        """Whether it is still being sent."""

    def break_off(self) -> None:
        """End it soon, from any thread."""


class OpenResponses:
    """The open answers of this process, by session.

    Args:
        records: Says which sessions are still there.
        open_max: So many may be open at once. Each holds a thread of the server, and some must be
            left for everything else.
    """

    def __init__(self, records: SessionRecords, *, open_max: int) -> None:
        self._records = records
        self._open_max = open_max
        self._open: dict[str | None, list[Breakable]] = {}
        self._lock = threading.Lock()

    def follow(
        self, session_key: str | None, answer: Breakable, *, may_refuse: bool = True
    ) -> None:
        """Break *answer* off when its session ends; it is only counted if it has none.

        Raises:
            Overloaded: Too many are open already; not unless *may_refuse*, since the answer to a
                write says what has been done.
        """
        with self._lock:
            self._forget_sent()
            if may_refuse and sum(map(len, self._open.values())) >= self._open_max:
                raise Overloaded(f"{self._open_max} answers are open")
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
        """The sessions to look at."""
        with self._lock:
            self._forget_sent()
            return [key for key in self._open if key is not None]

    def _forget_sent(self) -> None:
        for key, answers in list(self._open.items()):
            left = [answer for answer in answers if answer.open]
            if left:
                self._open[key] = left
            else:
                del self._open[key]
