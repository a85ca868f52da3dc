"""Where are sessions and tokens stored? In Redis; `keys` names every key and what it holds.

keys                     every key: name, type, content
scripts                  what must happen in Redis in one step
stores                   `open_stores()`: all stores of a BFF
session_records          sessions, and the tombstones of ended ones
tracked_session_records  the same, read so that Redis reports changes; for the session cache
refresh_lock             which request may spend a session's refresh token
browsers                 the one session of each browser
indexes                  sessions by user, e-mail address, provider session and deadline
identity_changes         name and address of a living session, and its indexes
outbox                   what must still be revoked at the provider
deny_list                access tokens that are revoked before they expire
watermarks               since when a sign-in or a token is too old
history_start            since when this Redis has a complete history
history_cut              what happens when it has lost something
redis_watch              whether it has; `server_info`: what it says about itself;
                         `history_marks`: has it gone back in time; `known_servers`
client_tokens            access tokens of the BFF itself
seen_messages            messages of the provider that have been processed
sent_revocations         our own revocations, to recognise their echo in the provider's log
connection               commands, time-outs, failures; `round_trips`; `redis_clients`,
                         `redis_cluster`: one server, Sentinel, Cluster; `change_tracking`:
                         CLIENT TRACKING
"""

from bff.store.connection import Database, connect
from bff.store.deny_list import DenyList
from bff.store.history_start import HistoryStart
from bff.store.indexes import Indexes
from bff.store.outbox import Entry, Outbox
from bff.store.refresh_lock import RefreshLock
from bff.store.session_records import SessionRecords
from bff.store.stores import Stores, open_stores
from bff.store.watermarks import Watermarks

__all__ = [
    "Database",
    "DenyList",
    "Entry",
    "HistoryStart",
    "Indexes",
    "Outbox",
    "RefreshLock",
    "SessionRecords",
    "Stores",
    "Watermarks",
    "connect",
    "open_stores",
]
