"""Which address is the client's, and is it still there?"""

from __future__ import annotations

import ipaddress
import select
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_HUNG_UP = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR


class ClientAddresses:
    """Tells who asks, believing only the proxies that are trusted.

    Args:
        trusted_proxies: Addresses or networks whose `X-Forwarded-For` is believed.
    """

    def __init__(self, trusted_proxies: Sequence[str]) -> None:
        self._trusted: list[Network] = [
            ipaddress.ip_network(network, strict=False) for network in trusted_proxies
        ]

    def from_trusted_proxy(self, environ: Mapping[str, Any]) -> bool:
        """Whether the peer is a proxy whose fields are believed."""
        return bool(self._trusted) and self._trusts(_address(environ.get("REMOTE_ADDR", "")))

    def address(self, environ: Mapping[str, Any]) -> str:
        """The client's IP address, or an empty string if it can't be told.

        It is the peer, or, behind trusted proxies, the right-most address of `X-Forwarded-For`
        that is none of theirs; what stands to the left of it anybody may have written.
        """
        peer: str = environ.get("REMOTE_ADDR", "")
        if not self._trusted or not self._trusts(_address(peer)):
            return peer
        for item in reversed(environ.get("HTTP_X_FORWARDED_FOR", "").split(",")):
            address = _address(item.strip())
            if address is None:
                return peer
            peer = str(address)
            if not self._trusts(address):
                return peer
        return peer

    def _trusts(self, address: Address | None) -> bool:
        return address is not None and any(address in network for network in self._trusted)


def _address(text: str) -> Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped if mapped is not None else address


def gone_check(environ: Mapping[str, Any]) -> Callable[[], bool] | None:
    """How to ask whether the client hung up, where the server shows its socket (gunicorn)."""
    sock = environ.get("gunicorn.socket")
    if sock is None or not hasattr(select, "POLLRDHUP"):
        return None

    def gone() -> bool:
        poll = select.poll()
        poll.register(sock, _HUNG_UP)
        return bool(poll.poll(0))

    return gone
