"""How many requests may wait for upstreams at once: in all, on one route, of one session?

Without a bound, an API that is slow takes all places of a process, and so does one user. A request
that finds no place waits for a moment, since most requests are over soon; then it is refused. A
write keeps its place until its response is complete: it can't be refused any more once it is sent.
"""

from __future__ import annotations

import threading
from collections import deque

from bff.core.errors import Overloaded
from bff.core.work_slots import Waiting

PATIENCE_SECONDS = 0.5
"""How long a request waits for a place."""


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
        self._taken = 0
        self._by_route: dict[str, int] = {}
        self._by_session: dict[str, list[str]] = {}
        """The routes of each session's requests."""
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
        place = Place(self, route, session_key)
        with self._lock:
            waiter = None if self._take(place) else _Waiter(place)
            if waiter is not None:
                self._queue.append(waiter)
        if waiter is not None:
            self._wait(waiter)
        return place

    def give_back(self, place: Place) -> None:
        """Pass a place on to the next request that may have one; `Place.leave` calls it."""
        with self._lock:
            if place.left:
                return
            place.left = True
            self._taken -= 1
            self._by_route[place.route] -= 1
            if place.session_key is not None:
                own = self._by_session[place.session_key]
                own.remove(place.route)
                if not own:
                    del self._by_session[place.session_key]
            for waiter in self._queue:
                if self._take(waiter.place):
                    self._queue.remove(waiter)
                    waiter.admitted.set()
                    return

    def _take(self, place: Place) -> bool:
        route, session_key = place.route, place.session_key
        on_route = self._by_route.get(route, 0)
        if self._taken >= self._places or on_route >= self._route_max:
            return False
        if session_key is not None:
            own = self._by_session.get(session_key)
            if own is None:
                self._by_session[session_key] = [route]
            elif len(own) < self._session_max and own.count(route) < self._session_on_route_max:
                own.append(route)
            else:
                return False
        self._taken += 1
        self._by_route[route] = on_route + 1
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

    __slots__ = ("admitted", "place")

    def __init__(self, place: Place) -> None:
        self.place = place
        self.admitted = threading.Event()


class Place:
    """One place; it is given back once, however often `leave` is called."""

    __slots__ = ("_requests", "left", "route", "session_key")

    def __init__(self, requests: UpstreamRequests, route: str, session_key: str | None) -> None:
        self._requests = requests
        self.left = False
        self.route = route
        self.session_key = session_key

    def leave(self) -> None:
        """Give it back."""
        self._requests.give_back(self)
