"""Which request id is accepted from whom?

A trusted proxy gives one in `X-Request-ID`, so that its log and ours can be put together. What a
client writes there is not believed: it could give many requests one id, or its own that of somebody
else's. An id is bounded, and no character of it means anything in a log.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from bff.core.request_id import KEY, new_request_id
from bff.gateway.client_address import ClientAddresses

HEADER = "X-Request-ID"
PEERS_MAX = 1_024
"""How many are remembered."""
_ACCEPTED = re.compile(r"[A-Za-z0-9._-]{8,64}")


class RequestIDs:
    """Finds the id of a request.

    Args:
        clients: Knows the trusted proxies.
    """

    def __init__(self, clients: ClientAddresses) -> None:
        self._is_trusted = lru_cache(PEERS_MAX)(
            lambda address: clients.from_trusted_proxy({"REMOTE_ADDR": address})
        )

    def of(self, environ: dict[str, Any]) -> str:
        """The id that a trusted proxy gives, else a new one; the same at each call."""
        found: str | None = environ.get(KEY)
        if found is None:
            found = environ[KEY] = self._find(environ)
        return found

    def _find(self, environ: Mapping[str, Any]) -> str:
        given: str | None = environ.get("HTTP_X_REQUEST_ID")
        if not given or not _ACCEPTED.fullmatch(given):
            return new_request_id()
        return given if self._is_trusted(environ.get("REMOTE_ADDR", "")) else new_request_id()
