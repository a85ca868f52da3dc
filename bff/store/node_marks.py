"""Has a node of a Redis Cluster gone back in time? Each that holds keys of ours has its own marks.

The marks of `history_marks` are on one node. Another one that is restored from a backup, or whose
replica was promoted far behind, brings back what it holds: sessions, tombstones, the deny-list.
"""

from __future__ import annotations

from typing import Any

from bff.core.errors import StoreUnavailable
from bff.store.connection import FAILURES, Database, Script
from bff.store.history_marks import HistoryMarks
from bff.store.redis_cluster import ClusterClient

# KEYS: the marks of one node. ARGV: this process, its new mark, how many marks stay.
_MARK = Script(
    """
local marked = redis.call('ZSCORE', KEYS[1], ARGV[1])
local written = redis.pcall('ZADD', KEYS[1], 'GT', ARGV[2], ARGV[1])
redis.pcall('ZREMRANGEBYRANK', KEYS[1], 0, -ARGV[3] - 1)
return {marked or '0', type(written) == 'table' and 0 or 1}
"""
)


class NodeMarks:
    """The marks of this process at each master.

    Args:
        database: Of the watch.
        marks: Name this process and number its marks.
        marks_max: How many processes have one.
    """

    def __init__(self, database: Database, marks: HistoryMarks, marks_max: int) -> None:
        self._database = database
        self._marks = marks
        self._marks_max = marks_max
        self._member = ""
        self._confirmed: dict[str, int] = {}
        """By key. A key moves with its slot, and its marks with it."""

    def look(self) -> bool:
        """Mark each node that responds; returns whether one has lost a mark that it had.

        Raises:
            StoreUnavailable: No node responds, or one doesn't in time.
        """
        client = self._database.client
        if not isinstance(client, ClusterClient):
            return False
        mark = self._marks.next()
        if self._member != self._marks.member:
            # A forked process begins anew.
            self._member, self._confirmed = self._marks.member, {}
        try:
            found = client.keys_of_masters(self._database.keys.node_marks)
        except FAILURES as error:
            raise StoreUnavailable(type(error).__name__) from error
        keys = sorted({*found, *self._confirmed})
        lacked = self._marks.lacks_replicas
        replies, is_kept = self._mark_each(keys, mark)
        has_lost = False
        for key, reply in zip(keys, replies, strict=True):
            if isinstance(reply, Exception):
                continue  # It is away, and is asked again.
            marked, is_written = reply
            has_lost = has_lost or int(float(marked)) < self._confirmed.get(key, 0)
            if is_written and (is_kept or lacked):
                self._confirmed[key] = mark
        return has_lost

    def _mark_each(self, keys: list[str], mark: int) -> tuple[list[Any], bool]:
        """The replies, and whether enough replicas have all marks."""
        words: list[str | bytes | float] = [self._member, mark, self._marks_max]
        # Before the marks: a write that comes later needs the next ones.
        lacked, self._marks.lacks_replicas = self._marks.lacks_replicas, False
        replies: list[Any] = [None]
        try:
            replies, is_kept = self._database.run_each(_MARK, [([key], words) for key in keys])
        finally:
            if not all(isinstance(reply, list) for reply in replies):
                self._marks.lacks_replicas = lacked or self._marks.lacks_replicas
        return replies, is_kept
