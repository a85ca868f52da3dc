"""How are sessions read so that Redis reports when they change? Over a tracking connection.

With plain `HMGET`s, which every version of Redis tracks; a script that might write would be
notified of its own changes. So reading here doesn't move the idle end: `SessionRecords.load` does.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from bff.core.model import Session
from bff.store.change_tracking import ChangeTracking
from bff.store.redis_cluster import Command
from bff.store.scripts import RECORD_FIELDS, RecordRow
from bff.store.session_records import SessionRecords


class TrackedSession(NamedTuple):
    """A session that was read over the tracking connection."""

    session: Session
    sealed_data: bytes | None
    """Of `flask.session`; `SessionRecords.open_data` opens it."""
    slides_at: float
    """When its idle end must be moved."""


class TrackedSessionRecords:
    """Sessions read over one tracking connection. Not thread-safe.

    Every method that sends a command raises StoreUnavailable; the connection is unusable then.
    """

    def __init__(self, records: SessionRecords, tracking: ChangeTracking) -> None:
        self._records = records
        self._tracking = tracking
        self.open = tracking.open
        self.close = tracking.close

    def ping(self) -> None:
        """Wait for a response: changes made before the call are in `changed` then."""
        self._ask(("PING",))

    def read(self, session_keys: list[str]) -> list[RecordRow | None]:
        """Read records, and Redis's clock just before; nothing is opened yet. None without one."""
        names = (self._records.keys.session(key) for key in session_keys)
        readings = (("HMGET", name, *RECORD_FIELDS) for name in names)
        now, *rows = self._ask(("TIME",), *readings)
        read_at = int(now[0]) + int(now[1]) / 1_000_000
        return [RecordRow._make([*row, read_at]) if row[0] is not None else None for row in rows]

    def _ask(self, *commands: Command) -> list[Any]:
        """The replies of a master: a replica refuses to delete, even what isn't there."""
        return self._tracking.send(("DEL", self._records.keys.absent()), *commands)[1:]

    def open_row(self, session_key: str, row: RecordRow | None) -> TrackedSession | None:
        """Open what `read` returned; None if there is no such session, or it has expired.

        Raises:
            SealInvalid: As `SessionRecords.load`.
        """
        if row is None or not self._records.is_vouched_for(row):
            return None
        session = self._records.open_row(session_key, row)
        if session.read_at >= min(session.idle_ends_at, session.ends_at):
            return None
        return TrackedSession(session, row.data, self._records.slides_at(session))

    def changed(self) -> set[str] | None:
        """The sessions that have changed since the last call; None if any of them may have."""
        names = self._tracking.changed()
        return None if names is None else {n.rpartition("{")[2].removesuffix("}") for n in names}
