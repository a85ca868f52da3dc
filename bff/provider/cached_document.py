"""How long is a document of the provider used before it is fetched again?

For its lifetime; then one thread fetches it while the others use the old one. During an outage of
the provider the old one stays in use, and the next fetch waits for a pause.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from bff.core.errors import ProviderError, ProviderUnavailable
from bff.core.work_slots import Waiting
from bff.provider.http_transport import Deadline

T = TypeVar("T")

FIRST_RETRY_SECONDS = 1.0
"""Pause after a failed fetch while there is no document."""
STALE_RETRY_SECONDS = 15.0
"""Pause after a failed fetch while an old document is in use."""
STALE_SHARE = 0.5
"""The share of the caller's deadline that a fetch may take while an old document is in use."""

log = logging.getLogger("bff.provider")


class CachedDocument(Generic[T]):
    """One document with a lifetime.

    Args:
        fetch: Fetches it within a deadline; raises ProviderError.
        lifetime_seconds: How long it is used before it is fetched again.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        fetch: Callable[[Deadline], T],
        lifetime_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetch = fetch
        self._lifetime_seconds = lifetime_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._document: tuple[T] | None = None
        self._fetch_after = 0.0
        self._tried_at = 0.0
        self._failure: ProviderError | None = None

    @property
    def loaded(self) -> bool:
        """Whether it was fetched at least once."""
        return self._document is not None

    def get(self, deadline: Deadline) -> T:
        """The document, fetched if there is none or if it is due.

        Raises:
            ProviderError: There is none, and it can't be fetched.
        """
        document = self._document
        if document is None:
            return self._first(deadline)
        if self._clock() >= self._fetch_after and self._lock.acquire(blocking=False):
            try:
                with contextlib.suppress(ProviderError):
                    self._refetch(deadline.part(STALE_SHARE))
            finally:
                self._lock.release()
        return (self._document or document)[0]

    def of_any_age(self, deadline: Deadline) -> T:
        """The document, however old; fetched only if there is none."""
        return self._document[0] if self._document is not None else self._first(deadline)

    def renew(self, deadline: Deadline) -> T:
        """The document, fetched again unless another thread did so since the call.

        Raises:
            ProviderError: It can't be fetched, so that the old one decides nothing.
        """
        return self._after_fetch(deadline, self._clock())

    def latest(self, deadline: Deadline) -> T:
        """The document, once a fetch that is under way is over; raises as `renew`."""
        return self._after_fetch(deadline, None)

    def _after_fetch(self, deadline: Deadline, called_at: float | None) -> T:
        if self._document is None:
            return self._first(deadline)
        self._wait_for_lock(deadline)
        try:
            if called_at is not None and called_at >= self._tried_at:
                self._refetch(deadline)
            elif self._failure is not None:
                raise _again(self._failure)
            return self._document[0]
        finally:
            self._lock.release()

    def _first(self, deadline: Deadline) -> T:
        self._wait_for_lock(deadline)
        try:
            if self._document is not None:
                return self._document[0]
            if self._failure is not None and self._clock() < self._fetch_after:
                # Threads that waited for a failed fetch must not each wait for their own.
                raise _again(self._failure)
            return self._load(deadline)
        finally:
            self._lock.release()

    def _wait_for_lock(self, deadline: Deadline) -> None:
        if self._lock.acquire(blocking=False):
            return
        # Requests that wait for the provider keep no others from being served.
        with Waiting():
            acquired = self._lock.acquire(timeout=deadline.remaining_seconds())
        if not acquired:
            raise ProviderUnavailable("another thread is still waiting for the provider")

    def _refetch(self, deadline: Deadline) -> None:
        """Replace the old document; if that fails, it stays in use for a while."""
        try:
            self._load(deadline)
        except ProviderError as error:
            self._fetch_after = self._clock() + STALE_RETRY_SECONDS
            level = max(logging.WARNING, error.log_level)
            log.log(level, "the old document stays in use: %s %s", error.detail, error.set_by)
            raise

    def _load(self, deadline: Deadline) -> T:
        self._tried_at = self._clock()
        try:
            value = self._fetch(deadline)
        except ProviderError as error:
            self._failure = error
            self._fetch_after = self._clock() + FIRST_RETRY_SECONDS
            raise
        self._document, self._failure = (value,), None
        self._fetch_after = self._clock() + self._lifetime_seconds
        return value


def _again(failure: ProviderError) -> ProviderError:
    """The same failure for another thread, which needs an exception object of its own."""
    if isinstance(failure, ProviderUnavailable):
        return ProviderUnavailable(failure.detail, retry_after_seconds=failure.retry_after_seconds)
    return type(failure)(failure.detail)
