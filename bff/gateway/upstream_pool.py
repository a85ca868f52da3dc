"""Which address of an upstream gets the next request, and which connections are reused?

Requests go to the addresses in rotation. An address that couldn't be connected to is skipped for a
few seconds. After that a single request tries it; the others skip it until that one has succeeded.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections import deque

from bff.config.route import Origin, Route
from bff.gateway.curl_connection import CurlConnection

log = logging.getLogger(__name__)

IDLE_SECONDS = 60.0
"""A connection that was unused for this long is closed."""
SKIPPED_SECONDS = 5.0
LATENCY_SECONDS = 1.0
"""So long before its announced end a connection gets no write any more."""


class UpstreamAddress:
    """One address and its idle connections; safe for threads.

    Args:
        origin: Scheme, host and port.
        route: Its timeouts, trusted CAs, and how many idle connections are kept.
    """

    __slots__ = (
        "_ca_file", "_connect_timeout_seconds", "_idle", "_idle_connections_max", "_idle_seconds",
        "origin", "skipped_until",
    )  # fmt: skip

    def __init__(self, origin: Origin, route: Route) -> None:
        self.origin = origin
        self._idle_connections_max = route.idle_connections_max
        self._idle_seconds = route.idle_seconds
        self._connect_timeout_seconds = route.connect_timeout_seconds
        self._ca_file = route.ca_file
        self._idle: deque[CurlConnection] = deque()
        self.skipped_until = 0.0
        """On the monotonic clock; 0 unless the last attempt to connect failed."""

    def take(self, *, repeatable: bool) -> CurlConnection:
        """An idle connection, or a new one.

        Args:
            repeatable: If the connection closes at this moment, the request is sent again. If not,
                none is used that the upstream may be about to close (RFC 9112, 9.3.1 and 9.5).
        """
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return CurlConnection(self.origin, self._connect_timeout_seconds, self._ca_file)
            if not connection.stale and (repeatable or self._is_young(connection)):
                return connection
            connection.close()

    def _is_young(self, connection: CurlConnection) -> bool:
        announced = connection.keep_alive_seconds
        limit = self._idle_seconds if announced is None else announced - LATENCY_SECONDS
        return time.monotonic() - connection.used_at < limit

    def give_back(self, connection: CurlConnection) -> None:
        """End the exchange on *connection*, and keep it for the next request."""
        if connection.stop():
            self._idle.append(connection)
        else:
            connection.close()

    def close_idle(self) -> int:
        """Close connections that wait in vain, and those left by a burst; returns how many.

        The number is limited here and not in `give_back`, so that no request pays for it.
        """
        oldest_at, closed = time.monotonic() - IDLE_SECONDS, 0
        left_over = len(self._idle) - self._idle_connections_max
        for _ in range(len(self._idle)):
            try:
                connection = self._idle.popleft()
            except IndexError:
                break
            if closed < left_over or connection.used_at < oldest_at or connection.stale:
                connection.close()
                closed += 1
            else:
                self._idle.append(connection)  # All of them pass by, so their order stays.
        return closed

    def mark_reachable(self) -> None:
        """A connection was opened."""
        if self.skipped_until:
            self.skipped_until = 0.0
            log.info("upstream %s://%s:%d can be connected to again", *self.origin)

    def mark_unreachable(self) -> None:
        """No connection could be opened."""
        if not self.skipped_until:
            log.warning("upstream %s://%s:%d can't be connected to", *self.origin)
        self.skipped_until = time.monotonic() + SKIPPED_SECONDS


class UpstreamPool:
    """The addresses of one route.

    Args:
        route: Has the addresses.
    """

    def __init__(self, route: Route) -> None:
        addresses = [UpstreamAddress(origin, route) for origin in route.origins]
        self._orders = [(*addresses[start:], *addresses[:start]) for start in range(len(addresses))]
        if len(addresses) == 1:
            # A single address is tried twice.
            self._orders = [(addresses[0], addresses[0])]
        self._request_numbers = itertools.count()

    def close_idle(self) -> int:
        """Close connections that wait in vain, at all addresses; returns how many."""
        return sum(address.close_idle() for address in set(self._orders[0]))

    def addresses_to_try(self) -> tuple[UpstreamAddress, ...]:
        """The order in which one request tries the addresses; those to skip come last."""
        orders = self._orders
        if len(orders) == 1:
            return orders[0]
        order = orders[next(self._request_numbers) % len(orders)]
        if any(address.skipped_until for address in order):
            return self._skipped_last(order)
        return order

    def _skipped_last(self, order: tuple[UpstreamAddress, ...]) -> tuple[UpstreamAddress, ...]:
        now = time.monotonic()
        for address in order:
            if 0 < address.skipped_until <= now:
                # This request tries it again, while the others go on skipping it.
                address.skipped_until = now + SKIPPED_SECONDS
                return (address, *(other for other in order if other is not address))
        return tuple(sorted(order, key=lambda address: address.skipped_until > 0))
