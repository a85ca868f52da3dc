"""What happens to a session that expires? It is ended like any other, so its tokens are revoked."""

from __future__ import annotations

from bff.core.background import Background
from bff.revocation.revocation import Revocation
from bff.store import Stores

CLAIM_SECONDS = 30
BATCH = 500
"""So many are checked at once; while there are more, the next round follows without a pause."""


class ExpirySweep:
    """Ends sessions past their idle or absolute end; any replica may run it.

    Args:
        stores: Session records and their deadlines.
        revocation: Ends sessions.
        background: Runs this again soon if there may be more.
    """

    def __init__(self, stores: Stores, revocation: Revocation, background: Background) -> None:
        self._records = stores.records
        self._indexes = stores.indexes
        self._revocation = revocation
        self._background = background

    def run(self) -> int:
        """Check the sessions that are due, and end those that have expired; returns how many.

        Their refresh tokens are revoked by the drain, since the provider may take its time.

        Raises:
            StoreUnavailable: Redis is down; the next run finds the same sessions.
        """
        keys = self._indexes.claim_due(CLAIM_SECONDS, BATCH)
        if not keys:
            return 0
        found = dict(zip(keys, self._records.deadlines(keys), strict=True))
        self._indexes.set_deadlines({k: d.at for k, d in found.items() if d and d.state == "live"})
        due = [k for k, d in found.items() if d and d.state == "due"]
        ended = self._revocation.end_these(due, "timed_out", waits_for_caches=False)
        # What is left of those that ended is in the outbox, and named there.
        self._indexes.forget_deadlines([k for k, d in found.items() if not d or d.state == "due"])
        if len(keys) == BATCH:
            self._background.run_soon(self.run)  # Other work runs between two rounds.
        return ended
