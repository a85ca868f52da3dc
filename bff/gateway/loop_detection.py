"""Has this application forwarded a request before?

Every forwarded request names us in `Via`, by a name that all processes of one application share. If
a request arrives with that name, an upstream's address leads back to us. The names of other BFFs
pass even from an untrusted sender, so that a loop of several is detected, too. A client that writes
such a name blocks only its own requests. Source: RFC 9110, 7.6.3; RFC 5842, 7.2.
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
    """Writes and checks our entry in `Via`.

    Args:
        app_base_url: Distinguishes one application from another.
    """

    def __init__(self, app_base_url: str) -> None:
        self.name = "bff-" + hashlib.sha256(app_base_url.encode()).hexdigest()[:8]

    def check(self, environ: Mapping[str, Any]) -> None:
        """Refuse a request that this application has forwarded before.

        Raises:
            LoopDetected: It has, or too many other BFFs have.
        """
        before = environ.get("HTTP_VIA")
        if before is None:
            return
        if self.name in before:
            raise LoopDetected("an upstream's address leads back to us")
        if before.count(" bff-") > HOPS_MAX:
            raise LoopDetected(f"came through more than {HOPS_MAX} BFFs")

    def value(self, environ: Mapping[str, Any], *, trusted: bool) -> str:
        """The value of `Via` for the upstream.

        Args:
            environ: The client's request.
            trusted: Whether it came from a trusted proxy, whose entries pass unchanged.
        """
        version = environ.get("SERVER_PROTOCOL", "HTTP/1.1").removeprefix("HTTP/")
        ours = f"{version} {self.name}"
        before = environ.get("HTTP_VIA")
        if before and not trusted:
            before = ", ".join(_BFF_HOP.findall(before)[:HOPS_MAX])
        return f"{before}, {ours}" if before else ours
