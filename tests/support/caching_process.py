"""A process that remembers sessions, and one that ends them, over the same keys."""

from __future__ import annotations

import threading

from bff.core.model import Session
from bff.revocation.cache_lease import CacheLease
from bff.revocation.revocation import Revocation
from bff.sessions.cache import SessionCache, own_clock
from bff.store.change_tracking import ChangeTracking
from bff.store.record_results import LoadedSession
from bff.store.scripts import RecordRow
from bff.store.tracked_session_records import TrackedSessionRecords
from tests.support.bench import Bench

LEASE_SECONDS = 30.0
"""Longer than any stall of the machine; a test lets it pass by `Clock`."""


class Clock:
    """A clock that a test can set forward."""

    def __init__(self) -> None:
        self.passed_seconds = 0.0

    def __call__(self) -> float:
        return own_clock() + self.passed_seconds


class Remembering:
    """The memory of one process; no thread, so that a test says when it asks for a proof.

    Args:
        bench: The services of this process.
        url: Where its tracking connection goes; the bench's Redis if None.
        lease_seconds: As in the settings.
        entries_max: As in the settings.
    """

    def __init__(
        self,
        bench: Bench,
        *,
        url: str | None = None,
        lease_seconds: float = LEASE_SECONDS,
        entries_max: int = 100,
    ) -> None:
        self.bench = bench
        self.clock = Clock()
        self.plain_reads = self.tracked_reads = 0
        self.connections = 0
        self.may_connect = threading.Event()
        self.may_connect.set()
        self._url = url or bench.config.redis_url.get_secret_value()
        self.memory = SessionCache(
            self._load,
            bench.records.slides_at,
            self._connect,
            lease_seconds=lease_seconds,
            entries_max=entries_max,
            clock=self.clock,
        )

    def _load(self, key: str) -> LoadedSession | None:
        self.plain_reads += 1
        return self.bench.records.load(key, slide=True)

    def _connect(self) -> TrackedSessionRecords:
        self.may_connect.wait()
        self.connections += 1
        process = self

        class Counted(TrackedSessionRecords):
            def read(self, keys: list[str]) -> list[RecordRow | None]:
                process.tracked_reads += len(keys)
                return super().read(keys)

        return Counted(self.bench.records, ChangeTracking(self._url, 5))

    def ask(self, key: str) -> Session | None:
        """What a request does."""
        found = self.memory.load(key)
        return found[0] if found else None

    def remember(self, key: str) -> None:
        """Let it be asked for, and remembered with the next proof."""
        assert self.ask(key)
        assert self.ask(key)
        assert self.memory.prove()
        assert key in self.remembered()

    def remembered(self) -> set[str]:
        """The sessions that are in memory, trusted or not."""
        return set(self.memory._entries)

    def asks_redis_for(self, key: str) -> bool:
        """Whether a request costs a round trip."""
        before = self.plain_reads
        self.memory.load(key)
        return self.plain_reads > before

    def close(self) -> None:
        """Drop the connection."""
        self.memory._forget_all()


def revocation_with(bench: Bench, lease: CacheLease) -> Revocation:
    """What ends sessions in a process whose others remember them."""
    return Revocation(
        records=bench.records,
        indexes=bench.indexes,
        outbox=bench.outbox,
        deny_list=bench.deny_list,
        watermarks=bench.watermarks,
        provider=bench.provider,
        answer_seconds=bench.config.provider_timeout_seconds,
        lease=lease,
    )
