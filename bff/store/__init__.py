"""Where are sessions and tokens kept? In Redis; docs/architecture.md shows every key.

`connection` reaches Redis, `scripts` holds what must happen there in one step, `records` keeps the
sessions, `indexes` finds them by user and by deadline, `outbox` keeps what must still be revoked,
and `denylist` the access tokens that died early.
"""

from bff.store.connection import Database, connect
from bff.store.denylist import DenyList
from bff.store.indexes import Indexes
from bff.store.outbox import Entry, Outbox
from bff.store.records import Records
from bff.store.watermarks import Watermarks

__all__ = ["Database", "DenyList", "Entry", "Indexes", "Outbox", "Records", "Watermarks", "connect"]
