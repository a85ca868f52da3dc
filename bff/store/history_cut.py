"""What happens when Redis has lost something? Nothing from before that instant is believed.

It may have been a logout, an entry of the deny-list or a watermark, and nobody can tell. So access
tokens from before count as revoked (the history start rises), sign-ins from before are refused (a
watermark over everyone), and sessions from before end: they are refused from here on, and ended
properly afterwards (`bff/sessions/unvouched.py`).
"""

from __future__ import annotations

import logging
import time

from bff.core.model import Group
from bff.store.connection import Database, Script
from bff.store.history_start import HistoryStart
from bff.store.watermarks import Watermarks

log = logging.getLogger(__name__)

# KEYS: the cut. It falls with a clock that was set back, or no session would be new enough.
_CUT = Script(
    """
local at = tonumber(redis.call('TIME')[1]) + 1
redis.call('SET', KEYS[1], string.format('%d', at))
return at
"""
)


class HistoryCut:
    """The instant before which Redis can't be vouched for. Every method raises StoreUnavailable.

    Args:
        database: Stores it.
        history_start: Refuses older access tokens.
        watermarks: Refuse older sign-ins.
        refusing: Refuses older sessions, by its `history_cut_at`.
    """

    def __init__(
        self,
        database: Database,
        history_start: HistoryStart,
        watermarks: Watermarks,
        *,
        refusing: Database,
    ) -> None:
        self.database = database
        self._refusing = refusing
        self._key = database.keys.history_cut()
        self._history_start = history_start
        self.start_keys = history_start.keys
        self._watermarks = watermarks

    def learn(self, at: int) -> bool:
        """Learn of a cut that another process has made; returns whether it is news."""
        is_newer = at > self._refusing.history_cut_at
        self._refusing.history_cut_at = max(at, self._refusing.history_cut_at)
        return is_newer

    def refuse_sessions(self) -> None:
        """Believe no session from before now."""
        self._refusing.history_cut_at = int(self.database.run_safely(_CUT, [self._key]))

    def make(self) -> None:
        """Believe nothing from before now."""
        self.refuse_sessions()
        self._history_start.rise()
        # By our own clock, since Redis's may have been set an hour forward.
        self._watermarks.rise(Group.everyone(), time.time())
