"""How many requests may wait for upstreams at once: in all, on one route, of one session or user?

Without a bound, an API that is slow takes all places of a process, and so does one user, with one
session or with many, and so do requests without a session, which cost nobody anything. A request
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

ANYBODY = "anybody"
"""The user of all requests without a session."""

Holder = tuple[str, str]
"""A session and its key, or a user and the name."""


class UpstreamRequests:
    """The requests of this process that wait for an upstream; safe for threads.

    One route may have three quarters of the places, if there is another. One session may have half
    of them, and a quarter on one route. One user may have three quarters of all, and of a route's.

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
        self._maxima = {
            "session": (max(1, places // 2), max(1, places // 4)),
            "user": (max(1, places * 3 // 4), max(1, self._route_max * 3 // 4)),
        }
        """By the kind of holder: in all, and on one route."""
        self._patience_seconds = patience_seconds
        self._taken = 0
        self._by_route: dict[str, int] = {}
        self._by_holder: dict[Holder, list[str]] = {}
        """The routes of the requests of each session and user."""
        self._queue: deque[_Waiter] = deque()
        self._lock = threading.Lock()

    def enter(self, route: str, session_key: str | None, user: str | None = None) -> Place:
        """Take a place, and wait for one for a moment if there is none.

        Args:
            route: Its prefix.
            session_key: The session that the request uses, if any.
            user: Whose session it is, or `ANYBODY`; None counts for nobody.

        Raises:
            Overloaded: There is none.
        """
        session = () if session_key is None else (("session", session_key),)
        place = Place(self, route, session if user is None else (*session, ("user", user)))
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
            for holder in place.holders:
                own = self._by_holder[holder]
                own.remove(place.route)
                if not own:
                    del self._by_holder[holder]
            for waiter in self._queue:
                if self._take(waiter.place):
                    self._queue.remove(waiter)
                    waiter.admitted.set()
                    return

    def _take(self, place: Place) -> bool:
        route = place.route
        on_route = self._by_route.get(route, 0)
        if self._taken >= self._places or on_route >= self._route_max:
            return False
        by_holder = self._by_holder
        for holder in place.holders:
            own = by_holder.get(holder)
            if own is not None:
                in_all, for_route = self._maxima[holder[0]]
                if len(own) >= in_all or own.count(route) >= for_route:
                    return False
        for holder in place.holders:
            if holder in by_holder:
                by_holder[holder].append(route)
            else:
                by_holder[holder] = [route]
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

    __slots__ = ("_requests", "holders", "left", "route")

    def __init__(self, requests: UpstreamRequests, route: str, holders: tuple[Holder, ...]) -> None:
        self._requests = requests
        self.left = False
        self.route = route
        self.holders = holders

    def leave(self) -> None:
        """Give it back."""
        self._requests.give_back(self)
