"""Was this Redis watched until now, or may it have been restored while no process ran?

A process that starts knows nothing of what Redis had before. But a backup that was made while
processes ran has the mark of one of them as its newest, and it is old. After a stop in good order
the newest says so. After a kill of all processes it is a mark, too, so this only tells.
"""

from __future__ import annotations

import logging
import time

from bff.store.connection import Database, Script

log = logging.getLogger(__name__)

MAY_BE_RESTORED = "redis_may_be_restored"
LEFT = "left"
"""In place of a process's name."""
GAP_SECONDS = 60
"""A shorter one is a restart."""

_NEWEST = Script("return redis.call('ZREVRANGE', KEYS[1], 0, 0, 'WITHSCORES')")


class WatchGap:
    """Looks at the newest mark, once, before this process leaves its first.

    Args:
        database: Of the watch.
        key: The marks of all processes.
    """

    def __init__(self, database: Database, key: str) -> None:
        self._database = database
        self._key = key
        self._has_looked = False

    def look(self) -> bool:
        """Tell if nobody watched; returns whether it was told. Raises StoreUnavailable."""
        if self._has_looked:
            return False
        newest = self._database.run(_NEWEST, [self._key])
        self._has_looked = True
        if not newest or newest[0] == LEFT.encode():
            return False
        seconds = time.time() - float(newest[1]) / 1000
        if seconds <= GAP_SECONDS:
            return False
        log.error(
            "no process has watched Redis for %.0f s, and none had stopped: if it was restored "
            "from a backup, ended sessions are back, so end everyone's (docs/deploy.md, Restoring "
            "a backup)", seconds,
        )  # fmt: skip
        return True

    def leave(self) -> None:
        """Say that this process stops; the others go on leaving marks. Raises StoreUnavailable."""
        if self._has_looked:
            self._database.command("ZADD", self._key, "GT", int(time.time() * 1000) + 1, LEFT)
