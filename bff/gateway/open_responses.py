"""How does a response that is still being sent end when its session ends?

Event streams and long downloads outlast the check at their beginning. Twice a second, each process
asks Redis in one round trip whether the sessions of its open responses still exist, and breaks off
the responses of those that don't. An outage of Redis breaks off nothing: it is not a logout.

A response that nobody sends any more, since an application's own `after_request` function has
replaced it or has failed, is noticed too: else its place would be taken for ever.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING

from bff.core import audit
from bff.core.errors import Overloaded
from bff.store import SessionRecords

if TYPE_CHECKING:
    # Commands without a proxy need no libcurl.
    from bff.gateway.upstream import Exchange


SESSION_LEAST = 48
"""So many responses of one session may be open in any case; beyond it, one user may have half of
the places."""


class OpenResponses:
    """The open responses of this process, by session.

    Args:
        records: Says which sessions still exist.
        open_max: How many may be open at once. Each occupies a thread of the server and memory.
        routes: How many routes there are. If there are several, one may have three quarters of the
            places. One user may have three quarters of all, and of a route's.
    """

    def __init__(self, records: SessionRecords, *, open_max: int, routes: int = 1) -> None:
        self._records = records
        self._open_max = open_max
        self._session_max = max(SESSION_LEAST, open_max // 2)
        self._route_max = max(1, open_max * 3 // 4) if routes > 1 else open_max
        self._user_max = max(SESSION_LEAST, open_max * 3 // 4)
        self._user_on_route_max = max(SESSION_LEAST, self._route_max * 3 // 4)
        self._by_session: dict[str | None, list[_Entry]] = {}
        self._lock = threading.Lock()

    def add(self, session_key: str | None, exchange: Exchange, may_refuse: bool) -> None:
        """Break *exchange* off when its session ends; without a session it is only counted.

        Args:
            session_key: The session that the request used, if any.
            exchange: The response, not complete yet.
            may_refuse: Whether the limit applies to it.

        Raises:
            Overloaded: Too many are open already.
        """
        with self._lock:
            self._forget_complete()
            if may_refuse:
                self._refuse_beyond_limits(session_key, exchange)
            entry = weakref.ref(exchange), exchange.on_close
            self._by_session.setdefault(session_key, []).append(entry)

    def break_ended(self) -> int:
        """Break off the responses of ended sessions; returns how many there were.

        Raises:
            StoreUnavailable: Redis is away; the next call finds the same.
        """
        keys = self._session_keys()
        if not keys:
            return 0
        ended = [
            key for key, exists in zip(keys, self._records.exist(keys), strict=True) if not exists
        ]
        broken = 0
        for key in ended:
            with self._lock:
                exchanges = self._open_in(self._by_session.pop(key, []))
            for exchange in exchanges:
                exchange.break_off()
                broken += 1
                audit.record("stream_ended", "ok", reason="session_ended", session_key=key)
        return broken

    def count(self) -> int:
        """How many are open."""
        with self._lock:
            self._forget_complete()
            return sum(map(len, self._by_session.values()))

    def _refuse_beyond_limits(self, session_key: str | None, exchange: Exchange) -> None:
        of_session = self._by_session.get(session_key, []) if session_key is not None else []
        all_open = [one for own in self._by_session.values() for one in self._open_in(own)]
        route_prefix = exchange.route_prefix
        of_route = sum(one.route_prefix == route_prefix for one in all_open)
        of_user = [one.route_prefix for one in all_open if one.user == exchange.user]
        if (
            len(all_open) >= self._open_max
            or len(of_session) >= self._session_max
            or of_route >= self._route_max
            or len(of_user) >= self._user_max
            or of_user.count(route_prefix) >= self._user_on_route_max
        ):
            raise Overloaded(f"{len(all_open)} responses are open, {of_route} on this route")

    def _session_keys(self) -> list[str]:
        with self._lock:
            self._forget_complete()
            return [key for key in self._by_session if key is not None]

    def _forget_complete(self) -> None:
        for key, entries in list(self._by_session.items()):
            still_open: list[_Entry] = []
            for reference, on_close in entries:
                exchange = reference()
                if exchange is None:
                    if on_close is not None:
                        on_close()
                elif exchange.open:
                    still_open.append((reference, on_close))
            if still_open:
                self._by_session[key] = still_open
            else:
                del self._by_session[key]

    @staticmethod
    def _open_in(entries: list[_Entry]) -> list[Exchange]:
        return [exchange for reference, _ in entries if (exchange := reference()) is not None]


_Entry = tuple["weakref.ref[Exchange]", "Callable[[], object] | None"]
"""A response, and what must be called if it disappears."""
