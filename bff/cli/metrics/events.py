"""Which metrics come from the audit log's events?"""

from __future__ import annotations

from bff.cli.metrics.definitions import (
    END_REASONS,
    ENDS,
    ERROR_CODES,
    EVENTS,
    OTHER,
    REFRESHES,
    REVOCATIONS,
    ROUTE_TOKENS,
    SIGN_INS,
)
from bff.cli.metrics.recorder import Recorder
from bff.core import audit

_OUTCOMES = {
    "token_refreshed": REFRESHES,
    "token_refresh_failed": REFRESHES,
    "route_token_issued": ROUTE_TOKENS,
    "route_token_failed": ROUTE_TOKENS,
}
_REVOCATIONS = {
    "token_revoked": "confirmed",
    "revocation_queued": "queued",
    "revocation_failed": "failed",
    "revocation_given_up": "given_up",
}
_SIGN_INS = ("sign_in_succeeded", "sign_in_failed")


class EventMetrics:
    """Counts events; `record` is for `audit.watchers`.

    Args:
        recorder: Takes the numbers.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def record(self, event: audit.Event, outcome: audit.Outcome, reason: str) -> None:
        """Count one event."""
        series = self._recorder.series
        series(EVENTS, event, outcome)(1)
        word = reason.partition(":")[0]
        if event in _OUTCOMES:
            series(_OUTCOMES[event], outcome)(1)
        elif event in _REVOCATIONS:
            series(REVOCATIONS, _REVOCATIONS[event])(1)
        elif event == "session_ended":
            series(ENDS, word if word in END_REASONS else OTHER)(1)
        elif event in _SIGN_INS:
            # It may quote what a provider or a caller wrote.
            failure = word if word in ERROR_CODES else OTHER
            series(SIGN_INS, outcome, "" if outcome == "ok" else failure)(1)
