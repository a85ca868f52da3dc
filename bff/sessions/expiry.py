"""What happens to a session that expires? It is ended like any other, so its tokens are revoked."""

from __future__ import annotations

from bff.revocation.revocation import Revocation
from bff.store import Stores

CLAIM_SECONDS = 30
BATCH = 100


class ExpirySweep:
    """Ends sessions past their idle or absolute end; any replica may run it."""

    def __init__(self, stores: Stores, revocation: Revocation) -> None:
        self._records = stores.records
        self._indexes = stores.indexes
        self._revocation = revocation

    def run(self) -> int:
        """Check the sessions that are due, and end those that have expired; returns how many.

        Raises:
            StoreUnavailable: Redis is down; the next run finds the same sessions.
        """
        ended = 0
        for key in self._indexes.claim_due(CLAIM_SECONDS, BATCH):
            deadline = self._records.deadline(key)
            if deadline is None:
                self._indexes.remove(key, None)
            elif deadline.state == "live":
                self._indexes.set_deadline(key, deadline.at)
            else:
                ended += self._revocation.end(key, "timed_out", waits_for_caches=False)
        return ended
