"""How many sessions may one user have? Beyond the limit, a sign-in ends the oldest ones.

Each session has its share of requests and of memory in Redis, so without a limit, who signs in
again and again would get as many shares.
"""

from __future__ import annotations

import logging

from bff.core.errors import StoreUnavailable
from bff.core.model import Group, Session
from bff.revocation.revocation import Revocation
from bff.store import Stores

REASON = "too_many_sessions"

log = logging.getLogger(__name__)


class UserLimit:
    """Ends the sessions that are too many.

    Args:
        stores: Sessions and their indexes.
        revocation: Ends sessions.
        sessions_max: How many a user may have; 0 for any number.
    """

    def __init__(self, stores: Stores, revocation: Revocation, sessions_max: int) -> None:
        self._stores = stores
        self._revocation = revocation
        self._sessions_max = sessions_max

    def enforce(self, new: Session, count: int) -> None:
        """End the oldest sessions of the user of *new*, if there are too many.

        Args:
            new: A session that has just begun; it stays.
            count: How many sessions the user may have now, ended ones included.

        A failure is logged, and doesn't fail the sign-in: the next one does it.
        """
        if not self._sessions_max or count <= self._sessions_max:
            return
        try:
            keys = self._stores.indexes.members(Group.of_user(*new.identity.user))
            there = zip(keys, self._stores.records.exist(keys), strict=True)
            others = [key for key, exists in there if exists and key != new.key]
            if too_many := others[: max(len(others) + 1 - self._sessions_max, 0)]:
                self._revocation.end_these(too_many, REASON, waits_for_caches=False)
        except StoreUnavailable as error:
            log.warning("sessions beyond BFF_SESSIONS_PER_USER_MAX stay: %s", error.detail)
