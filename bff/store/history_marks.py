"""How does a process notice that Redis has gone back in time? By marks that it leaves there.

It writes one with every look at Redis, and one behind each write that must not be lost (an end, an
entry of the deny-list, a watermark), over the same connection. A Redis that is restored from a
backup, or a replica that was promoted too early, has an older mark or none. Each process has its
own, so the marks of others can't hide that.
"""

from __future__ import annotations

import os
import secrets
import threading
import time

from bff.store.redis_cluster import Command


class HistoryMarks:
    """The marks of this process; each is a number above those before it.

    Args:
        key: The sorted set with the marks of all processes.
    """

    def __init__(self, key: str) -> None:
        self._key = key
        self._lock = threading.Lock()
        self.lacks_replicas = False
        """On a cluster: a write that must not be lost has fewer replicas than it should, so the
        next mark at each node must stay, whoever has it."""
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self.member = secrets.token_hex(8)
        self._last = 0
        self.confirmed = 0
        """The newest that must be there; 0 for none yet. That of a look counts if as many replicas
        as must have it; that behind a write in any case."""

    @property
    def are_left(self) -> bool:
        """Whether this process leaves any; a command, which watches nothing, doesn't."""
        return self._last > 0

    def next(self) -> int:
        """A number for the next mark."""
        with self._lock:
            if os.getpid() != self._pid:
                self._begin()  # A forked process; the parent goes on with its own.
            # By the clock, so that the marks of processes that are gone are the lowest.
            self._last = max(self._last + 1, int(time.time() * 1000))
            return self._last

    def command(self, mark: int) -> Command:
        """Writes a mark; one that arrives late changes nothing."""
        return ("ZADD", self._key, "GT", mark, self.member)

    def confirm(self, mark: int) -> None:
        """From now on Redis must have this mark or a newer one."""
        with self._lock:
            if os.getpid() == self._pid:
                self.confirmed = max(self.confirmed, mark)
