"""How is a session loaded without a round trip to Redis, but never after its end was confirmed?

A session that is requested twice within a minute is read once more, over the tracking connection
(`bff/store/change_tracking.py`), and cached in the clear; further requests cost no round trip. It
is used only for a *lease* after the last **proof** that nothing has changed. A proof is any reply
over that connection, usually to a PING: Redis sends every earlier change before it. A proof counts
from the instant *before* its request was sent, by this process's own clock. The end of a session
is confirmed a lease after its deletion (`bff/revocation/cache_lease.py`). By then every proof from
before the deletion has expired, since its request was sent earlier still. A process that receives
nothing, for whatever reason, reads from Redis as if there were no cache.
docs/architecture/session-cache.md has the full argument.

An entry is removed about a minute after its session was last read.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

import msgspec

from bff.config import Config
from bff.core.errors import SealInvalid, StoreUnavailable
from bff.core.model import Session
from bff.core.operations import session_lookups
from bff.core.own_clock import own_clock
from bff.store import SessionRecords
from bff.store.change_tracking import ChangeTracking
from bff.store.record_results import LoadedSession
from bff.store.redis_login import changing_login
from bff.store.tracked_session_records import TrackedSession, TrackedSessionRecords

log = logging.getLogger(__name__)


PROOFS_IN_A_LEASE = 5
"""How many proofs are requested in one lease, so that a late one does no harm."""
RECONNECT_SECONDS = 0.5
CLEAN_SECONDS = 5.0
BATCH = 100
"""How many sessions are read in one round trip."""
NEVER = float("-inf")


@dataclass(frozen=True, slots=True)
class CachedSession:
    """A session as it was read, and until when requests may use it."""

    session: Session
    sealed_data: bytes | None
    ahead_seconds: float
    """Redis's clock less our own, or a little more: a session must not end late."""
    usable_until: float
    """By our own clock. Then the session expires, or its idle end must be moved in Redis."""

    def at(self, now: float) -> LoadedSession:
        """The session for a request at *now*."""
        session = msgspec.structs.replace(self.session, read_at=now + self.ahead_seconds)
        return LoadedSession(session, self.sealed_data)


def _cached(found: TrackedSession, asked_at: float) -> CachedSession:
    session = found.session
    ahead = session.read_at - asked_at
    until = min(session.idle_ends_at, session.ends_at, found.slides_at) - ahead
    return CachedSession(session, found.sealed_data, ahead, until)


class SessionCache:
    """Loads sessions, from the cache while a proof covers it.

    Requests only read the cache. One thread uses the tracking connection, and changes `_entries`
    and `_trusted_until` in the order of Redis's replies; `forget` begins new `_entries`.

    Args:
        records: Loads sessions that are not cached, and moves their idle end.
        config: Where Redis is, the lease, and how many sessions are cached at most.
        clock: Seconds, never set back.
    """

    def __init__(
        self, records: SessionRecords, config: Config, clock: Callable[[], float] = own_clock
    ) -> None:
        self._records = records
        self._config = config
        self._lease_seconds = config.session_lease_seconds
        self._entries_max = config.session_memory_max
        self._clock = clock
        self._stop = threading.Event()
        self._begin_empty()

    def _load(self, key: str) -> LoadedSession | None:
        return self._records.load(key, slide=True)

    def _connect(self) -> TrackedSessionRecords:
        """A new connection, not opened yet."""
        url, timeout_seconds = self._config.redis_url, self._config.redis_timeout_seconds
        tracking = ChangeTracking(
            url.get_secret_value(),
            timeout_seconds,
            self._config.trusted_cas,
            self._records.servers,
            changing_login(self._config),
        )
        return TrackedSessionRecords(self._records, tracking)

    def _begin_empty(self) -> None:
        self._lock = threading.Lock()
        self._tracked: TrackedSessionRecords | None = None
        self._trusted_until = NEVER
        self._entries: dict[str, CachedSession] = {}
        self._seen_lock = threading.Lock()
        self._seen: dict[str, float] = {}
        self._wanted: dict[str, None] = {}
        self._cleaned_at = self._clock()
        self._logged_reason: str | None = None

    # ------------------------------------------------------------ requests
    def load(self, key: str) -> LoadedSession | None:
        """The valid session of *key* and its sealed data; moves its idle end if that is due.

        Raises:
            StoreUnavailable, SealInvalid: As `SessionRecords.load`.
        """
        # Keep this order: the proof covers what is still cached after the proof was read. The other
        # way round, a thread that stalls in between would use an entry that has been removed since,
        # by a proof that came after the removal.
        trusted_until = self._trusted_until
        entry = self._entries.get(key)
        now = self._clock()
        if entry is not None and now < trusted_until and now < entry.usable_until:
            for count in session_lookups["cached"]:
                count(1)
            return entry.at(now)
        for count in session_lookups["read"]:
            count(1)
        found = self._load(key)
        if found is not None and (entry is None or now >= entry.usable_until):
            slides_at = now + self._records.slides_at(found[0]) - found[0].read_at
            self._note(key, now, slides_at, is_busy=entry is not None)
        return found

    def _note(self, key: str, now: float, until: float, *, is_busy: bool) -> None:
        """Note a request, and have the session cached if there was one within the last minute."""
        with self._seen_lock:
            if self._seen.pop(key, NEVER) > now or is_busy:
                self._wanted[key] = None
            self._seen[key] = until
            for noted in (self._seen, self._wanted):
                if len(noted) > self._entries_max:
                    del noted[next(iter(noted))]

    # ------------------------------------------------------------ proofs
    def _proved(self, tracked: TrackedSessionRecords, asked_at: float) -> set[str] | None:
        """Extend the trust after Redis's reply to a command that was sent at *asked_at*.

        Returns the sessions that Redis reported as changed until then; None if any may have.
        """
        changed = tracked.changed()
        if changed is None:
            self._entries.clear()
        for key in changed or ():
            self._entries.pop(key, None)
        # Last: a request that sees the new proof finds no entry that is older.
        self._trusted_until = asked_at + self._lease_seconds
        return changed

    def _read(self, tracked: TrackedSessionRecords, keys: list[str]) -> None:
        """Read sessions and cache them; the reply is a proof, too."""
        entries = self._entries  # What is read now isn't cached if they are forgotten meanwhile.
        asked_at = self._clock()
        rows = tracked.read(keys)
        changed = self._proved(tracked, asked_at)
        if changed is None:
            return
        for key, row in zip(keys, rows, strict=True):
            # It may have changed after it was read in this batch, and Redis reports that only once.
            if key in changed:
                continue
            try:
                found = tracked.open_row(key, row)
            except SealInvalid:
                continue  # `SessionRecords.load` reports it.
            if found is not None:
                # In the order of reading: the entry that was read longest ago is removed first.
                entries.pop(key, None)
                while len(entries) >= self._entries_max:
                    del entries[next(iter(entries))]
                entries[key] = _cached(found, asked_at)

    def _lose(self, error: StoreUnavailable) -> None:
        """Drop the connection and all that was read over it."""
        self._forget_all()
        if error.detail != self._logged_reason:
            log.warning("sessions are read from Redis for each request: %s", error.detail)
            self._logged_reason = error.detail

    def _forget_all(self) -> None:
        self._trusted_until = NEVER
        self._entries.clear()
        tracked, self._tracked = self._tracked, None
        if tracked is not None:
            tracked.close()

    def prove(self) -> bool:
        """Request a proof now, over a new connection if need be; whether it arrived.

        Then read the sessions that are to be cached.
        """
        with self._lock:
            try:
                tracked = self._tracked or self._connected()
                asked_at = self._clock()
                tracked.ping()
                self._proved(tracked, asked_at)
                while keys := self._take_wanted():
                    self._read(tracked, keys)
            except StoreUnavailable as error:
                self._lose(error)
                return False
            self._logged_reason = None
            return True

    def _connected(self) -> TrackedSessionRecords:
        tracked = self._connect()
        try:
            tracked.open()
        except StoreUnavailable:
            tracked.close()
            raise
        self._tracked = tracked
        return tracked

    def _take_wanted(self) -> list[str]:
        with self._seen_lock:
            keys = list(islice(self._wanted, BATCH))
            for key in keys:
                del self._wanted[key]
            return keys

    def forget(self) -> None:
        """Drop all sessions: Redis has lost something, and none is to be used without asking."""
        # Without the lock: `_connected` holds it while Redis is looked at, which may lead to here.
        self._entries = {}

    # ------------------------------------------------------------ the thread
    def start(self) -> None:
        """Begin to cache, in this process and in each that is forked from it."""
        self._run_thread()
        os.register_at_fork(after_in_child=self._start_in_child)

    def stop(self, timeout_seconds: float = 5) -> None:
        """Drop everything; requests read from Redis then."""
        self._stop.set()
        self._thread.join(timeout_seconds)
        with self._lock:
            self._forget_all()

    def _start_in_child(self) -> None:
        # Connection and proofs are the parent's, and a copied lock may be locked.
        stopped = self._stop.is_set()
        self._stop = threading.Event()
        self._begin_empty()
        if not stopped:
            self._run_thread()

    def _run_thread(self) -> None:
        self._thread = threading.Thread(
            target=self._prove_repeatedly, name="bff-session-cache", daemon=True
        )
        self._thread.start()

    def _prove_repeatedly(self) -> None:
        interval_seconds = self._lease_seconds / PROOFS_IN_A_LEASE
        stop, proved = self._stop, True
        while not stop.is_set():
            proved_before, proved = proved, self.prove()
            self._clean()
            stop.wait(interval_seconds if proved or proved_before else RECONNECT_SECONDS)

    def _clean(self) -> None:
        """Remove what can't be used any more: tokens must not stay in memory without need."""
        now = self._clock()
        if now < self._cleaned_at + CLEAN_SECONDS:
            return
        self._cleaned_at = now
        with self._lock:
            entries = self._entries
            for key in [k for k, entry in entries.items() if entry.usable_until <= now]:
                del entries[key]
        with self._seen_lock:
            for key in [k for k, until in self._seen.items() if until <= now]:
                del self._seen[key]
