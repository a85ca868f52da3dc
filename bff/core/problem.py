"""What does a program receive as an error? `application/problem+json` (RFC 9457).

A caller sees the status, the stable code, the public message and a reference. The detail is in the
log only, with the same reference.
"""

from __future__ import annotations

import json

from flask import Response

from bff.core.errors import BFFError

MEDIA_TYPE = "application/problem+json"


def problem_response(error: BFFError, reference: str, **more: object) -> Response:
    """The response for *error*; `set_headers` completes it.

    Args:
        error: What went wrong.
        reference: The request's id, under which the log has the detail.
        more: Further members of the JSON object.
    """
    problem: dict[str, object] = {
        "type": "about:blank",
        "title": error.message,
        "status": error.status,
        "code": error.code,
        "detail": error.hint,
        "reference": reference,
    }
    return Response(json.dumps(problem | more), error.status, content_type=MEDIA_TYPE)


def set_headers(response: Response, error: BFFError, challenge: str | None = None) -> None:
    """Set the headers that every error response has, whatever its media type.

    Args:
        response: For *error*.
        error: `Retry-After` is taken from it (RFC 9110, 10.2.3).
        challenge: The value of `WWW-Authenticate`; None for none.
    """
    response.headers["Cache-Control"] = "no-store"
    if error.retry_after_seconds is not None:
        response.headers["Retry-After"] = str(error.retry_after_seconds)
    if challenge is not None:
        response.headers["WWW-Authenticate"] = challenge
