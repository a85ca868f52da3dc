"""Was Redis's clock set?

Forward, it drops entries of the deny-list, watermarks and others too early; back, it revives
sessions that had expired. So it is compared with a clock of our own that is never set.
"""

from __future__ import annotations

SESSION_FROM_FUTURE_SECONDS = 10
"""A session that began so long after now began before the clock was set back."""
SLEW = 0.1
"""Of the time that passes: so much faster or slower a clock is corrected without a step."""


class ClockSteps:
    """Compares readings of both clocks with those before. Small steps add up, a slow drift doesn't.

    Args:
        tolerance_seconds: A smaller step is none. A token stays on the deny-list for the clock skew
            after it expires, so that much does no harm.
    """

    def __init__(self, tolerance_seconds: float) -> None:
        self._tolerance_seconds = max(1.0, tolerance_seconds)
        self._ahead: tuple[float, float] | None = None
        """Between these two is Redis's clock less our own, as far as it may drift."""
        self._read_at = 0.0

    def seconds(self, asked_at: float, redis_at: float, answered_at: float) -> float:
        """How far Redis's clock was set since the last reading; 0 if it wasn't.

        Args:
            asked_at: Our own clock before Redis was asked.
            redis_at: What Redis said.
            answered_at: Our own clock afterwards; a slow answer is no step.
        """
        least, most = redis_at - answered_at, redis_at - asked_at
        before, self._ahead = self._ahead, (least, most)
        drift = SLEW * (answered_at - self._read_at)
        self._read_at = answered_at
        if before is None:
            return 0
        if least - before[1] > self._tolerance_seconds:
            return least - before[1]
        if before[0] - most > self._tolerance_seconds:
            return most - before[0]
        low, high = before[0] - drift, before[1] + drift
        self._ahead = min(max(low, least), high), max(min(high, most), low)
        return 0
