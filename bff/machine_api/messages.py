"""What did another system send us, as far as we read it, and how do we answer a machine?"""

from __future__ import annotations

import json
from typing import Any

from flask import Response, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from bff.core.errors import BodyTooLarge, RequestRefused


def read_body(max_bytes: int, *media_types: str) -> bytes:
    """The whole body of the request being served; no form is parsed and nothing is kept on disk.

    Args:
        max_bytes: The most that is read.
        media_types: What it may be; parameters such as `charset` are passed over.

    Raises:
        RequestRefused: Of another type, or the client left before it had sent all.
        BodyTooLarge: It is.
    """
    if request.mimetype not in media_types:
        raise RequestRefused(f"the Content-Type must be {' or '.join(media_types)}")
    # A body in chunks is cut off at this length without a word, so one byte more is let in.
    request.max_content_length = max_bytes + 1
    try:
        body = request.get_data(cache=False, parse_form_data=False)
    except RequestEntityTooLarge as error:
        raise BodyTooLarge(f"more than {max_bytes} bytes") from error
    except HTTPException as error:
        raise RequestRefused(f"body unreadable: {error.name}") from error
    if len(body) > max_bytes:
        raise BodyTooLarge(f"more than {max_bytes} bytes")
    if request.content_length not in (None, len(body)):
        raise RequestRefused("body shorter than its Content-Length")
    return body


def json_response(
    status: int, body: dict[str, Any] | None = None, *, retry_after_seconds: int | None = None
) -> Response:
    """JSON, or nothing; never kept by a cache."""
    text = "" if body is None else json.dumps(body)
    response = Response(text, status, content_type="application/json")
    response.headers["Cache-Control"] = "no-store"
    if retry_after_seconds is not None:
        response.headers["Retry-After"] = str(retry_after_seconds)
    return response
