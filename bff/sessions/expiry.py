"""What happens to a session that merely runs out? It is ended like any other, and so revoked."""

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
        """Look at what is due, and end what has run out; returns how many ended.

        Raises:
            StoreUnavailable: Redis is away; the next run finds the same.
        """
        ended = 0
        for key in self._indexes.claim_due(CLAIM_SECONDS, BATCH):
            deadline = self._records.deadline(key)
            if deadline is None:
                self._indexes.remove(key, None)
            elif deadline.state == "live":
                self._indexes.set_deadline(key, deadline.at)
            else:
                ended += self._revocation.end(key, "timed_out", is_answered=False)
        return ended
