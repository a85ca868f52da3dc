"""How do all sessions of all users end, when that takes longer than a caller waits?

An intent in the outbox says that they must, and when. Whoever works on it puts it off from slice to
slice. If the process dies, the intent becomes due, and the drain of any process begins again with
what is left. Version 0.1.0 beside this one drops such an intent that has become due.
"""

from __future__ import annotations

import logging
import math
import secrets
import threading
import time

from bff.core.errors import BFFError
from bff.core.model import Ended, Group
from bff.revocation.group_end import GroupEnd
from bff.store import Entry, Stores

SLICE = 1000

log = logging.getLogger(__name__)


class EveryoneEnd:
    """Ends all sessions.

    Args:
        stores: Outbox, watermarks, indexes.
        groups: Ends a slice of them.
        claim_seconds: How long no other process works on what is begun here.
    """

    def __init__(self, stores: Stores, groups: GroupEnd, claim_seconds: float) -> None:
        self._outbox = stores.outbox
        self._watermarks = stores.watermarks
        self._indexes = stores.indexes
        self._groups = groups
        self._claim_seconds = claim_seconds

    def end(self, reason: str, within_seconds: float = math.inf) -> Ended:
        """End them; what isn't done within *within_seconds* goes on in a thread of its own.

        Raises:
            StoreUnavailable: Some sessions have not ended yet; the drain ends them later.
        """
        entry_id = f"end-everyone-{secrets.token_hex(8)}"
        entry = Entry(id=entry_id, kind="everyone", reason=reason)
        self._outbox.add(entry, due_in_seconds=self._claim_seconds)
        stop_at = time.monotonic() + within_seconds
        watermark_at, keys = self._groups.begin(Group.everyone())
        count, left = self._end_until(stop_at, entry, keys)
        if left:
            self._go_on(entry, left)
        self._watermarks.wait_for(watermark_at)
        return Ended(count, len(left))

    def complete(self, entry: Entry) -> None:
        """End in a thread what is left of *entry*, which another process has begun.

        Raises:
            StoreUnavailable: It is tried again.
        """
        self._watermarks.rise(Group.everyone(), entry.created_at)
        self._go_on(entry, self._indexes.members(Group.everyone()))

    def _go_on(self, entry: Entry, keys: list[str]) -> None:
        threading.Thread(
            target=self._finish, args=(entry, keys), name="end-everyone", daemon=True
        ).start()

    def _finish(self, entry: Entry, keys: list[str]) -> None:
        try:
            count, _ = self._end_until(math.inf, entry, keys)
            log.info("the end of everyone is complete, with %d sessions after the response", count)
        except BFFError as error:
            log.warning("the end of everyone goes on later: %s: %s", error.code, error.detail)

    def _end_until(self, stop_at: float, entry: Entry, keys: list[str]) -> tuple[int, list[str]]:
        """How many ended, and those that are left."""
        count = 0
        for start in range(0, len(keys), SLICE):
            if time.monotonic() >= stop_at:
                return count, keys[start:]
            self._outbox.put_off(entry, self._claim_seconds)
            some = keys[start : start + SLICE]
            if entry.created_at:
                # Read from the outbox: sessions have begun since.
                some = self._groups.from_before(some, entry.created_at)
            count += self._groups.end_sessions(some, entry.reason)
        self._outbox.done(entry.id)
        return count, []
