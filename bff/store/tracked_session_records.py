"""How are sessions read so that Redis tells when they change? Over a tracking connection.

Plain `HMGET`s, which Redis watches in every version; a script that might write would tell of its
own changes. So nothing is moved by such a reading: the idle end is `SessionRecords.load`'s.
"""

from __future__ import annotations

from typing import Any

from bff.core.model import Session
from bff.store.change_tracking import ChangeTracking
from bff.store.session_records import SessionRecords

FIELDS = (
    "generation", "tokens", "identity", "created_at", "last_seen_at", "idle_ends_at",
    "absolute_ends_at", "data",
)  # fmt: skip
"""In the order in which `scripts.LOAD` reads them."""

Row = list[Any]


class TrackedSessionRecords:
    """Sessions as one tracking connection reads them. Not for several threads at once.

    Every method that asks Redis raises StoreUnavailable; the connection is of no use then.
    """

    def __init__(self, records: SessionRecords, tracking: ChangeTracking) -> None:
        self._records = records
        self._tracking = tracking
        self.open = tracking.open
        self.close = tracking.close

    def ping(self) -> None:
        """Wait for any answer: what was changed before this was asked is in `changed` then."""
        self._tracking.ask(("PING",))

    def read(self, keys: list[str]) -> list[Row]:
        """Records as they stand in Redis, and Redis's clock just before; nothing is opened yet."""
        readings = (("HMGET", self._records.keys.session(key), *FIELDS) for key in keys)
        now, *rows = self._tracking.ask(("TIME",), *readings)
        read_at = int(now[0]) + int(now[1]) / 1_000_000
        return [[*row, read_at] for row in rows]

    def opened(self, key: str, row: Row) -> tuple[Session, bytes | None, float] | None:
        """What `read` has read: the session, its sealed data, and when its idle end must be moved.

        None if there is no such session, or not any more.

        Raises:
            SealInvalid: As `SessionRecords.load`.
        """
        if row[0] is None:
            return None
        session = self._records.opened(key, row)
        if session.read_at >= min(session.idle_ends_at, session.absolute_ends_at):
            return None
        return session, row[7], self._records.slides_at(session)

    def changed(self) -> set[str] | None:
        """The sessions that were changed since the last call; None if all may have been."""
        names = self._tracking.changed()
        return None if names is None else {n.rpartition("{")[2].removesuffix("}") for n in names}
