"""Where are sessions and tokens kept? In Redis; docs/architecture.md shows every key.

`connection` reaches Redis, `scripts` holds what must happen there in one step, `records` keeps the
sessions, `indexes` finds them by user and by deadline, `outbox` keeps what must still be revoked,
`denylist` the access tokens that died early, `watermarks` since when a sign-in or token is too old,
and `epoch` since when all of that is remembered.
"""

from bff.store.connection import Database, connect
from bff.store.deny_list import DenyList
from bff.store.history_start import HistoryStart
from bff.store.indexes import Indexes
from bff.store.outbox import Entry, Outbox
from bff.store.session_records import SessionRecords
from bff.store.watermarks import Watermarks

__all__ = [
    "Database",
    "DenyList",
    "Entry",
    "HistoryStart",
    "Indexes",
    "Outbox",
    "SessionRecords",
    "Watermarks",
    "connect",
]
