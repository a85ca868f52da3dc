"""How long is a document of the provider used before it is fetched again, and by whom?

For a lifetime; then one thread fetches it anew while the others use the old one. A provider that
is down costs nothing as long as there is an old one, and is asked again after a pause only.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from bff.core.errors import ProviderError, ProviderUnavailable
from bff.provider.http_transport import Deadline

T = TypeVar("T")

FIRST_RETRY_SECONDS = 1.0
"""Pause after a failed fetch while there is nothing to go by."""
STALE_RETRY_SECONDS = 15.0
"""Pause after a failed fetch while an old document serves."""
RENEW_PAUSE_SECONDS = 10.0
"""The least time between two fetches that a caller asked for (`renew`)."""
STALE_SHARE = 0.5
"""How much of a caller's time a fetch may take that the caller could do without."""

log = logging.getLogger("bff.provider")


class Cached(Generic[T]):
    """One document with a lifetime.

    Args:
        fetch: Gets it within a deadline; raises ProviderError.
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
        self._held: tuple[T] | None = None
        self._fetch_after = 0.0
        self._tried_at = 0.0
        self._failure: ProviderError | None = None

    @property
    def loaded(self) -> bool:
        """Whether it was ever fetched."""
        return self._held is not None

    def get(self, deadline: Deadline) -> T:
        """The document, fetched if there is none or if it is due.

        Raises:
            ProviderError: There is none, and it can't be fetched.
        """
        held = self._held
        if held is None:
            return self._first(deadline)
        if self._clock() >= self._fetch_after and self._lock.acquire(blocking=False):
            try:
                with contextlib.suppress(ProviderError):
                    self._refetch(deadline.part(STALE_SHARE))
            finally:
                self._lock.release()
        return (self._held or held)[0]

    def held(self, deadline: Deadline) -> T:
        """The document however old it is; fetched only if there is none."""
        return self._held[0] if self._held is not None else self._first(deadline)

    def renew(self, deadline: Deadline) -> T:
        """The document, fetched again unless that was tried a moment ago.

        Raises:
            ProviderError: It can't be had anew, so that the old one proves nothing.
        """
        asked_at = self._clock()
        if self._held is None:
            return self._first(deadline)
        if not self._lock.acquire(timeout=deadline.remaining_seconds()):
            raise ProviderUnavailable("another thread is still waiting for the provider")
        try:
            if asked_at - self._tried_at >= RENEW_PAUSE_SECONDS:
                self._refetch(deadline)
            elif self._failure is not None:
                raise _again(self._failure)
            return self._held[0]
        finally:
            self._lock.release()

    def _first(self, deadline: Deadline) -> T:
        if not self._lock.acquire(timeout=deadline.remaining_seconds()):
            raise ProviderUnavailable("another thread is still waiting for the provider")
        try:
            if self._held is not None:
                return self._held[0]
            if self._failure is not None and self._clock() < self._fetch_after:
                # Those who queued behind a failed fetch must not each wait for their own.
                raise _again(self._failure)
            return self._load(deadline)
        finally:
            self._lock.release()

    def _refetch(self, deadline: Deadline) -> None:
        """Replace the old document; if that fails, it serves for a while yet."""
        try:
            self._load(deadline)
        except ProviderError as error:
            self._fetch_after = self._clock() + STALE_RETRY_SECONDS
            log.warning("the old document goes on being used: %s", error.detail)
            raise

    def _load(self, deadline: Deadline) -> T:
        self._tried_at = self._clock()
        try:
            value = self._fetch(deadline)
        except ProviderError as error:
            self._failure = error
            self._fetch_after = self._clock() + FIRST_RETRY_SECONDS
            raise
        self._held, self._failure = (value,), None
        self._fetch_after = self._clock() + self._lifetime_seconds
        return value


def _again(failure: ProviderError) -> ProviderError:
    """The same failure for another caller; an exception object belongs to one thread."""
    if isinstance(failure, ProviderUnavailable):
        return ProviderUnavailable(failure.detail, retry_after_seconds=failure.retry_after_seconds)
    return type(failure)(failure.detail)
