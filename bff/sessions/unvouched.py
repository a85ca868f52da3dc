"""What happens to the sessions from before Redis lost something? They are ended, like any others.

They are refused from the cut on (`bff/store/history_cut.py`); here their tokens are revoked, too.
"""

from __future__ import annotations

from bff.core.errors import StoreUnavailable
from bff.core.model import Group
from bff.revocation.revocation import Revocation
from bff.sessions.cache import SessionCache
from bff.store import Stores
from bff.store.clock_steps import SESSION_FROM_FUTURE_SECONDS

REASON = "redis_lost_data"
BATCH = 100


class UnvouchedSessions:
    """Ends them; the process that made the cut does it.

    Args:
        stores: Sessions and their indexes.
        revocation: Ends sessions.
        cache: This process's session cache, if there is one.
    """

    def __init__(self, stores: Stores, revocation: Revocation, cache: SessionCache | None) -> None:
        self._database = stores.database
        self._records = stores.records
        self._indexes = stores.indexes
        self._revocation = revocation
        self._cache = cache
        self._is_due = False

    def refuse(self, made_here: bool) -> None:
        """Use none of them any more, from here on."""
        if self._cache is not None:
            self._cache.forget()
        self._is_due = self._is_due or made_here

    def end(self) -> int:
        """End those that there are; returns how many.

        Raises:
            StoreUnavailable: Redis is down; the next call goes on.
        """
        if not self._is_due:
            return 0
        self._is_due = False
        cut_at, ended = self._database.history_cut_at, 0
        latest_at = self._database.now() + SESSION_FROM_FUTURE_SECONDS
        keys = self._indexes.members(Group.everyone())
        try:
            with self._revocation.together():
                for i in range(0, len(keys), BATCH):
                    batch = keys[i : i + BATCH]
                    began = zip(batch, self._records.beginnings(batch), strict=True)
                    old = [k for k, b in began if b and not cut_at <= b.created_at <= latest_at]
                    ended += self._revocation.end_these(old, REASON) if old else 0
        except StoreUnavailable:
            self._is_due = True
            raise
        return ended
