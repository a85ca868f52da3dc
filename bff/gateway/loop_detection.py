"""Has a request been through here before?

Everything that we forward names us in `Via`, by a name that all processes of one application share.
A request that comes in with it has been sent to ourselves: an upstream's address is our own by
another name. Names of other BFFs are kept, from anybody, so that a ring of several is seen too; a
client that writes one of them stops only itself. Source: RFC 9110, 7.6.3; RFC 5842, 7.2.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from bff.core.errors import LoopDetected

HOPS_MAX = 8

_BFF_HOP = re.compile(r"[0-9.]{1,5} bff-[0-9a-f]{8}(?![^\s,])")


class Via:
    """Writes and reads our entries in `Via`.

    Args:
        app_base_url: What tells one application from another.
    """

    def __init__(self, app_base_url: str) -> None:
        self.name = "bff-" + hashlib.sha256(app_base_url.encode()).hexdigest()[:8]

    def check(self, environ: Mapping[str, Any]) -> None:
        """Refuse what we have sent ourselves.

        Raises:
            LoopDetected: It has been here, or at too many others.
        """
        before = environ.get("HTTP_VIA")
        if before is None:
            return
        if self.name in before:
            raise LoopDetected("an upstream's address leads back to us")
        if before.count(" bff-") > HOPS_MAX:
            raise LoopDetected(f"came through more than {HOPS_MAX} of our kind")

    def line(self, environ: Mapping[str, Any], *, trusted: bool) -> str:
        """The value for the upstream.

        Args:
            environ: The client's request.
            trusted: Whether it came from a proxy whose whole `Via` is believed.
        """
        version = environ.get("SERVER_PROTOCOL", "HTTP/1.1").removeprefix("HTTP/")
        ours = f"{version} {self.name}"
        before = environ.get("HTTP_VIA")
        if before and not trusted:
            before = ", ".join(_BFF_HOP.findall(before)[:HOPS_MAX])
        return f"{before}, {ours}" if before else ours
