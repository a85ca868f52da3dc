"""What is the client's IP address, and is the client still connected?"""

from __future__ import annotations

import ipaddress
import re
import select
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

ADDRESSES_MAX = 1_024
"""How many are remembered; few proxies send nearly all requests."""
ADDRESS_MAX_CHARACTERS = 64
"""45 of an IPv6 address, and a zone."""

_WITH_PORT = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+))(?::[0-9]{1,5})?")
"""As Azure's Application Gateway and AWS's load balancers can write it (RFC 7239, 6)."""

_DISCONNECTED = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR


class ClientAddresses:
    """Determines the client's address; only trusted proxies may report another than their own.

    Args:
        trusted_proxies: Addresses or networks whose `X-Forwarded-For` is trusted.
    """

    def __init__(self, trusted_proxies: Sequence[str]) -> None:
        self._trusted: list[Network] = [
            ipaddress.ip_network(network, strict=False) for network in trusted_proxies
        ]

    def from_trusted_proxy(self, environ: Mapping[str, Any]) -> bool:
        """Whether the peer is a trusted proxy."""
        return bool(self._trusted) and self._is_trusted(_address(environ.get("REMOTE_ADDR", "")))

    def address(self, environ: Mapping[str, Any]) -> str:
        """The client's IP address, without a zone; empty if it is unknown.

        It is the peer's, or, behind trusted proxies, the right-most address in `X-Forwarded-For`
        that isn't one of theirs. The client may have written everything to the left of it.
        """
        peer: str = environ.get("REMOTE_ADDR", "")
        sender = _address(peer)
        if sender is None:
            return ""
        peer = peer.partition("%")[0]
        if not self._trusted or not self._is_trusted(sender):
            return peer
        for item in reversed(environ.get("HTTP_X_FORWARDED_FOR", "").split(",")):
            item = item.strip()
            found = _WITH_PORT.fullmatch(item)
            address = _address(found[1] or found[2] if found else item)
            if address is None:
                return peer
            peer = str(address)
            if not self._is_trusted(address):
                return peer
        return peer

    def original_target(self, environ: Mapping[str, Any]) -> str | None:
        """The request target as a trusted proxy got it (`X-Original-URI`), if it says so."""
        told: str | None = environ.get("HTTP_X_ORIGINAL_URI")
        return told if told is not None and self.from_trusted_proxy(environ) else None

    def _is_trusted(self, address: Address | None) -> bool:
        return address is not None and any(address in network for network in self._trusted)


@lru_cache(ADDRESSES_MAX)
def _address(text: str) -> Address | None:
    """The address, without a zone: that means something on one machine only (RFC 4007, 11.2).

    Python accepts anything for a zone, `fe80::1%";proto=http` too.
    """
    if len(text) > ADDRESS_MAX_CHARACTERS:
        return None
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped if mapped is not None else address


def disconnect_check(environ: Mapping[str, Any]) -> Callable[[], bool] | None:
    """A function that says whether the client has disconnected; None unless under gunicorn.

    Only gunicorn gives an application access to the client's socket.
    """
    sock = environ.get("gunicorn.socket")
    if sock is None or not hasattr(select, "POLLRDHUP"):
        return None

    def has_disconnected() -> bool:
        poll = select.poll()
        poll.register(sock, _DISCONNECTED)
        return bool(poll.poll(0))

    return has_disconnected
