"""Which request may spend a session's refresh token?

The one that holds the session's lock. All processes share the lock, and so do all tokens of the
session: each of them may spend the same refresh token. A failure is stored beside the lock for a
short while, so that the next requests don't ask the provider again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bff.core.model import Tokens
from bff.store import scripts
from bff.store.connection import Database
from bff.store.session_records import SessionRecords


@dataclass(frozen=True, slots=True)
class LockAttempt:
    """The outcome of `begin_refresh`: one of these kinds.

    - yours: The lock is acquired.
    - locked: Another request has it.
    - newer: The record has newer tokens: `tokens`, of `generation`.
    - failed: The last refresh failed a moment ago, with the error code `failure`.
    - gone: The session has ended.
    """

    kind: Literal["yours", "locked", "newer", "failed", "gone"]
    tokens: Tokens | None = None
    generation: int = 0
    failure: str = ""


class RefreshLock:
    """The refresh locks of all sessions. Every method raises StoreUnavailable.

    Args:
        database: Holds the locks.
        records: Opens newer tokens.
    """

    def __init__(self, database: Database, records: SessionRecords) -> None:
        self._database = database
        self._keys = database.keys
        self._records = records

    def begin_refresh(
        self, key: str, generation: int, owner: str, lock_seconds: float, name: str = ""
    ) -> LockAttempt:
        """Try to acquire the lock of a session whose *generation* was read.

        Args:
            key: The session.
            generation: Of the record as it was read; with a newer one there may be no need.
            owner: A random id of this attempt.
            lock_seconds: The lock is released after this, if not before.
            name: Of the token to renew; failures are stored under it.
        """
        reply = self._database.run(
            scripts.BEGIN_REFRESH,
            [self._keys.session(key), self._keys.lock(key), self._keys.failure(key, name)],
            owner,
            int(lock_seconds * 1000),
            str(generation),
        )
        kind = reply[0].decode()
        if kind == "newer":
            tokens = self._records.open_tokens(key, reply[2])
            return LockAttempt("newer", tokens, int(reply[1]))
        return LockAttempt(kind, failure=reply[1].decode() if kind == "failed" else "")

    def renew_lock(self, key: str, owner: str, lock_seconds: float) -> bool:
        """Extend the lock; false if *owner* has lost it."""
        lock_ms = int(lock_seconds * 1000)
        return bool(self._database.run(scripts.RENEW_LOCK, [self._keys.lock(key)], owner, lock_ms))

    def end_refresh(
        self, key: str, owner: str, failure: str = "", seconds: float = 0, name: str = ""
    ) -> None:
        """Release the lock; store a *failure*, if any, under *name* for *seconds*."""
        keys = [self._keys.lock(key), self._keys.failure(key, name)]
        self._database.run(scripts.END_REFRESH, keys, owner, failure, max(1, int(seconds * 1000)))
