"""How are the due entries of the outbox completed, several at once?

The first entry of a round is taken alone: a provider that is down gets one request, not one from
each thread. If it is confirmed, threads take the others. All of them stop when the provider fails,
and if it asked for a pause, no round begins before its end. The threads are gone when a round is
over, since a process may be forked between two jobs.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from bff.core.errors import ProviderUnavailable
from bff.store import Entry
from bff.store.outbox import Outbox

AT_ONCE = 8
"""How many entries one process works on at once."""
CLAIM_COUNT = 10 * AT_ONCE
"""How many due entries a round claims."""
PAUSE_MAX_SECONDS = 60
"""A longer pause is for the entries that were refused: the provider may be back earlier."""


class Drain:
    """Completes entries; one round at a time.

    Args:
        outbox: Has the entries.
        take: Takes all steps of one; raises ProviderUnavailable if it must be tried again.
        backoff: How many seconds an entry waits after that error.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        outbox: Outbox,
        take: Callable[[Entry], object],
        backoff: Callable[[Entry, ProviderUnavailable], float],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._outbox = outbox
        self._take = take
        self._backoff = backoff
        self._clock = clock
        self._paused_until = 0.0

    def run(self, claim_seconds: float) -> tuple[int, bool]:
        """Take the entries that are due, until the provider fails.

        Args:
            claim_seconds: How long no other process takes them.

        Returns:
            How many are confirmed, and whether more may be due.

        Raises:
            StoreUnavailable: Redis is down; no entry is lost.
        """
        if self._clock() < self._paused_until:
            return 0, False
        due = self._outbox.claim_due(claim_seconds, CLAIM_COUNT)
        each = _Each(due)
        confirmed = self._complete(each)
        if each.failed is None:
            return confirmed, len(due) == CLAIM_COUNT
        # The outage concerns all entries: the rest of this round waits as long as that one.
        entry, error = each.failed
        self._paused_until = self._clock() + min(error.asked_seconds, PAUSE_MAX_SECONDS)
        for other in each.rest():
            self._outbox.put_off(other, self._backoff(entry, error))
        return confirmed, False

    def run_all(self) -> int:
        """Take all entries, due or not, until the provider fails; returns how many are confirmed.

        Raises:
            StoreUnavailable: Redis is down; no entry is lost.
        """
        return self._complete(_Each(self._outbox.each_waiting()))

    def _complete(self, each: _Each) -> int:
        if (first := each.next()) is None:
            return 0
        confirmed = self._attempt(first, each)
        if (second := each.next()) is None:
            return confirmed
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="drain") as threads:
            others = [threads.submit(self._attempt_all, second, each)]
            others += [threads.submit(self._attempt_all, None, each) for _ in range(AT_ONCE - 1)]
        return confirmed + sum(other.result() for other in others)

    def _attempt_all(self, entry: Entry | None, each: _Each) -> int:
        confirmed = 0
        while entry := entry or each.next():
            confirmed += self._attempt(entry, each)
            entry = None
        return confirmed

    def _attempt(self, entry: Entry, each: _Each) -> int:
        """Take one entry; returns how many that confirms."""
        try:
            self._take(entry)
            return int(self._outbox.read(entry.id) is None)
        except ProviderUnavailable as error:
            each.stop(entry, error)
            return 0
        except BaseException:
            each.stop()
            raise


class _Each:
    """The entries of a round, each for one thread, until one fails."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._entries = iter(entries)
        self._lock = threading.Lock()
        self._stopped = False
        self.failed: tuple[Entry, ProviderUnavailable] | None = None
        """The entry for which the provider asks for the longest pause."""

    def next(self) -> Entry | None:
        """One that nobody has taken yet."""
        with self._lock:
            return None if self._stopped else next(self._entries, None)

    def stop(self, entry: Entry | None = None, error: ProviderUnavailable | None = None) -> None:
        """Hand out no more of them."""
        with self._lock:
            self._stopped = True
            if entry is None or error is None:
                return
            if self.failed is None or error.asked_seconds > self.failed[1].asked_seconds:
                self.failed = entry, error

    def rest(self) -> list[Entry]:
        """Those that nobody has taken."""
        return list(self._entries)
