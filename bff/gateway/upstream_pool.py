"""Which address of an upstream is asked next, which is left out, and which connections are kept?

Requests go round the addresses. One that could not be connected to is left out for a few seconds;
after that a single request tries it, and the others go on round it until that one got through.
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
"""A connection unused for this long is closed when another one comes back."""
LEFT_OUT_SECONDS = 5.0


class UpstreamAddress:
    """One address, with the connections that are kept to it; safe for threads.

    Args:
        origin: Scheme, host and port.
        connect_timeout_seconds: For one attempt to open a connection.
        ca_file: PEM certificates of the CAs that may vouch for it.
    """

    __slots__ = ("_ca_file", "_connect_timeout_seconds", "_idle", "left_out_until", "origin")

    def __init__(self, origin: Origin, connect_timeout_seconds: float, ca_file: str) -> None:
        self.origin = origin
        self._connect_timeout_seconds = connect_timeout_seconds
        self._ca_file = ca_file
        self._idle: deque[CurlConnection] = deque()
        self.left_out_until = 0.0
        """On the monotonic clock; 0 for an address that can be connected to, as far as we know."""

    def take(self) -> CurlConnection:
        """A connection that is free, or a new one."""
        while True:
            try:
                channel = self._idle.pop()
            except IndexError:
                return CurlConnection(self.origin, self._connect_timeout_seconds, self._ca_file)
            if not channel.stale:
                return channel
            channel.close()

    def give_back(self, channel: CurlConnection) -> None:
        """End what *channel* does and keep it for the next request."""
        channel.stop()
        self._idle.append(channel)
        try:
            oldest = self._idle.popleft()
        except IndexError:
            return
        if channel.used_at - oldest.used_at > IDLE_SECONDS:
            oldest.close()
        else:
            self._idle.appendleft(oldest)

    def up(self) -> None:
        """It was connected to."""
        if self.left_out_until:
            self.left_out_until = 0.0
            log.info("upstream %s://%s:%d can be connected to again", *self.origin)

    def down(self) -> None:
        """It could not be connected to."""
        if not self.left_out_until:
            log.warning("upstream %s://%s:%d can't be connected to", *self.origin)
        self.left_out_until = time.monotonic() + LEFT_OUT_SECONDS


class UpstreamPool:
    """The addresses of one route.

    Args:
        route: Has them.
    """

    def __init__(self, route: Route) -> None:
        timeout = route.connect_timeout_seconds
        addresses = [UpstreamAddress(origin, timeout, route.ca_file) for origin in route.origins]
        self._orders = [(*addresses[start:], *addresses[:start]) for start in range(len(addresses))]
        if len(addresses) == 1:
            # The only one is tried twice.
            self._orders = [(addresses[0], addresses[0])]
        self._turns = itertools.count()

    def in_turn(self) -> tuple[UpstreamAddress, ...]:
        """In which order one request tries them; those that are left out come last."""
        orders = self._orders
        if len(orders) == 1:
            return orders[0]
        order = orders[next(self._turns) % len(orders)]
        if any(address.left_out_until for address in order):
            return self._those_left_out_last(order)
        return order

    def _those_left_out_last(
        self, order: tuple[UpstreamAddress, ...]
    ) -> tuple[UpstreamAddress, ...]:
        now = time.monotonic()
        for address in order:
            if 0 < address.left_out_until <= now:
                # Its time is over: this request tries it, the others wait how that goes.
                address.left_out_until = now + LEFT_OUT_SECONDS
                return (address, *(one for one in order if one is not address))
        return tuple(sorted(order, key=lambda address: address.left_out_until > 0))
