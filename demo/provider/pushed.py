"""Which authorization requests were pushed and have no code yet? (RFC 9126)"""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, replace
from threading import Lock

PREFIX = "urn:ietf:params:oauth:request_uri:"
INTERACTION_SECONDS = 600


@dataclass(frozen=True)
class _Pushed:
    client_id: str
    parameters: tuple[tuple[str, str], ...]
    ends_at: float


class PushedRequests:
    """The requests that were pushed and not used yet."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._pushed: dict[str, _Pushed] = {}

    def push(self, client_id: str, parameters: Iterable[tuple[str, str]], ends_at: float) -> str:
        """Store a request; returns its reference."""
        request_uri = PREFIX + secrets.token_urlsafe(24)
        with self._lock:
            self._pushed[request_uri] = _Pushed(client_id, tuple(parameters), ends_at)
        return request_uri

    def open(
        self, request_uri: str, client_id: str, now: float
    ) -> tuple[tuple[str, str], ...] | None:
        """Return the parameters; the user then has `INTERACTION_SECONDS` for the forms."""
        with self._lock:
            found = self._pushed.get(request_uri)
            if found is None or found.client_id != client_id or found.ends_at <= now:
                return None
            self._pushed[request_uri] = replace(found, ends_at=now + INTERACTION_SECONDS)
            return found.parameters

    def use(self, request_uri: str) -> None:
        """Remove the request, since a code was issued for it."""
        with self._lock:
            self._pushed.pop(request_uri, None)
