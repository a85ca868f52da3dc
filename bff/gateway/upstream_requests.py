"""How many requests may wait for upstreams at once: in all, on one route, of one session?

Without a bound, an API that is slow takes all places of a process, and so does one user. A request
that finds no place waits for a moment, since most requests are over soon; then it is refused. A
write keeps its place until its response is complete: it can't be refused any more once it is sent.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Hashable

from bff.core.errors import Overloaded
from bff.core.work_slots import Waiting

PATIENCE_SECONDS = 0.5
"""How long a request waits for a place."""

Limits = list[tuple[Hashable, int]]
"""What a request counts for, and how many of it there may be."""


class UpstreamRequests:
    """The requests of this process that wait for an upstream; safe for threads.

    One route may have three quarters of the places, if there is another. One session may have half
    of them, and a quarter on one route.

    Args:
        places: How many there may be.
        routes: How many routes there are.
        patience_seconds: How long a request waits for a place.
    """

    def __init__(
        self, places: int, routes: int, patience_seconds: float = PATIENCE_SECONDS
    ) -> None:
        self._places = places
        self._route_max = max(1, places * 3 // 4) if routes > 1 else places
        self._session_max = max(1, places // 2)
        self._session_on_route_max = max(1, places // 4)
        self._patience_seconds = patience_seconds
        self._taken: Counter[Hashable] = Counter()
        self._queue: deque[_Waiter] = deque()
        self._lock = threading.Lock()

    def enter(self, route: str, session_key: str | None) -> Place:
        """Take a place, and wait for one for a moment if there is none.

        Args:
            route: Its prefix.
            session_key: The session that the request uses, if any.

        Raises:
            Overloaded: There is none.
        """
        limits: Limits = [(None, self._places), (route, self._route_max)]
        if session_key is not None:
            limits += [
                ((session_key,), self._session_max),
                ((session_key, route), self._session_on_route_max),
            ]
        with self._lock:
            waiter = None if self._take(limits) else _Waiter(limits)
            if waiter is not None:
                self._queue.append(waiter)
        if waiter is not None:
            self._wait(waiter)
        return Place(self, [key for key, _ in limits])

    def leave(self, keys: list[Hashable]) -> None:
        """Give a place back, to the next request that may have it; `Place.leave` calls it."""
        with self._lock:
            for key in keys:
                self._taken[key] -= 1
                if not self._taken[key]:
                    del self._taken[key]
            for waiter in self._queue:
                if self._take(waiter.limits):
                    self._queue.remove(waiter)
                    waiter.admitted.set()
                    return

    def _take(self, limits: Limits) -> bool:
        taken = self._taken
        for key, limit in limits:
            if taken[key] >= limit:
                return False
        for key, _ in limits:
            taken[key] += 1
        return True

    def _wait(self, waiter: _Waiter) -> None:
        with Waiting():
            waiter.admitted.wait(self._patience_seconds)
        with self._lock:
            if not waiter.admitted.is_set():
                self._queue.remove(waiter)
                raise Overloaded("too many requests wait for upstreams")


class _Waiter:
    """A request that waits for a place."""

    __slots__ = ("admitted", "limits")

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.admitted = threading.Event()


class Place:
    """One place; it is given back once, however often `leave` is called."""

    __slots__ = ("_keys", "_requests")

    def __init__(self, requests: UpstreamRequests, keys: list[Hashable]) -> None:
        self._requests = requests
        self._keys = keys

    def leave(self) -> None:
        """Give it back."""
        keys, self._keys = self._keys, []
        if keys:
            self._requests.leave(keys)
