"""How does a test get a process that caches sessions, and another one that ends them?"""

from __future__ import annotations

import threading

from bff.config import Config
from bff.core.background import Background
from bff.core.model import Session
from bff.core.own_clock import own_clock
from bff.revocation.cache_lease import CacheLease
from bff.revocation.revocation import Revocation
from bff.sessions.cache import SessionCache
from bff.store.change_tracking import ChangeTracking
from bff.store.record_results import LoadedSession
from bff.store.scripts import RecordRow
from bff.store.tracked_session_records import TrackedSessionRecords
from tests.support.bench import Bench

LEASE_SECONDS = 30.0
"""Longer than any stall of the machine; a test lets it pass on `Clock`."""


class Clock:
    """A clock that a test can set forward."""

    def __init__(self) -> None:
        self.passed_seconds = 0.0

    def __call__(self) -> float:
        return own_clock() + self.passed_seconds


class CachingProcess:
    """The session cache of one process, without its thread: the test asks for the proofs.

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
        self.url = url or bench.config.redis_url.get_secret_value()
        changes = {
            "session_lease_milliseconds": lease_seconds * 1000,
            "session_memory_max": entries_max,
        }
        self.cache = CountingCache(self, bench.config.model_copy(update=changes))

    def load(self, key: str) -> Session | None:
        """Load a session as a request does."""
        found = self.cache.load(key)
        return found[0] if found else None

    def let_cache(self, key: str) -> None:
        """Request a session twice, so that the next proof caches it."""
        assert self.load(key)
        assert self.load(key)
        assert self.cache.prove()
        assert key in self.cached()

    def cached(self) -> set[str]:
        """The cached sessions, whether or not a proof covers them."""
        return set(self.cache._entries)

    def reads_redis_for(self, key: str) -> bool:
        """Whether a request costs a round trip."""
        before = self.plain_reads
        self.cache.load(key)
        return self.plain_reads > before

    def close(self) -> None:
        """Close the connection."""
        self.cache._forget_all()


class CountingCache(SessionCache):
    """Counts its reads, and connects when the test allows it."""

    def __init__(self, process: CachingProcess, config: Config) -> None:
        self._process = process
        super().__init__(process.bench.records, config, process.clock)

    def _load(self, key: str) -> LoadedSession | None:
        self._process.plain_reads += 1
        return super()._load(key)

    def _connect(self) -> TrackedSessionRecords:
        process = self._process
        process.may_connect.wait()
        process.connections += 1

        class Counted(TrackedSessionRecords):
            def read(self, keys: list[str]) -> list[RecordRow | None]:
                process.tracked_reads += len(keys)
                return super().read(keys)

        return Counted(process.bench.records, ChangeTracking(process.url, 5))


def revocation_with(bench: Bench, lease: CacheLease) -> Revocation:
    """Ends sessions in one process while others cache them."""
    return Revocation(bench.stores, bench.provider, Background(), lease, bench.config)
