"""What does an API respond to a request that may not proceed? RFC 9457, RFC 6750, RFC 9449."""

from __future__ import annotations

import json

from bff.core.errors import BFFError, ProviderUnavailable
from bff.resource_server.bearer import challenge

REALM = "api"
KEYS_UNAVAILABLE = "keys_unavailable"


class AccessRefused(Exception):
    """The request may not proceed; the reason is only logged.

    Attributes:
        status: 401 for a missing or invalid token or proof, 403 for a missing scope, 503 without
            Redis or the provider's keys, since validity is unknown then.
        headers: Of the response to send.
        body: Its body, of the type `application/problem+json`.

    Args:
        error: Why.
        authenticate: The challenge, if it isn't that of an API that takes Bearer only.
    """

    def __init__(self, error: BFFError, authenticate: str | None = None) -> None:
        self.status = error.status
        code = KEYS_UNAVAILABLE if isinstance(error, ProviderUnavailable) else error.code
        super().__init__(code)
        problem = {
            "type": "about:blank",
            "title": error.message,
            "status": error.status,
            "code": code,
        }
        self.body = json.dumps(problem).encode()
        self.headers = {"Content-Type": "application/problem+json", "Cache-Control": "no-store"}
        if (header := authenticate or challenge(error, REALM)) is not None:
            self.headers["WWW-Authenticate"] = header
        if error.retry_after_seconds is not None:
            self.headers["Retry-After"] = str(error.retry_after_seconds)
