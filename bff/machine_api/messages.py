"""How does the machine API read what a program sends, and how does it write JSON?"""

from __future__ import annotations

import json
from typing import Any

from flask import Response, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from bff.core.errors import BodyTooLarge, NotFound, RequestRefused

BODY_MAX_BYTES = 64 * 1024
"""Enough for one token or one JSON object; a route that takes more says so."""


def read_body(*media_types: str, max_bytes: int = BODY_MAX_BYTES) -> bytes:
    """The whole body of the current request; no form is parsed and nothing is written to disk.

    Args:
        media_types: Those allowed; a parameter such as `charset` is ignored.
        max_bytes: The limit.

    Raises:
        RequestRefused: The media type is another one, or the body ended early.
        BodyTooLarge: The body exceeds the limit.
    """
    if request.mimetype not in media_types:
        raise RequestRefused(f"the Content-Type must be {' or '.join(media_types)}")
    # Werkzeug silently cuts a chunked body off at its limit: one byte more shows the excess.
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


def parsed_json(text: bytes) -> Any:
    """*text* as JSON; an object with a repeated name is rejected, since parsers differ about it.

    Raises:
        RequestRefused: It is not JSON in UTF-8.
    """
    try:
        return json.loads(text.decode(), object_pairs_hook=_without_repeated_names)
    except (ValueError, RecursionError) as error:
        raise RequestRefused(f"no JSON: {type(error).__name__}") from error


def json_object() -> dict[str, Any]:
    """The JSON object in the body of the current request.

    Raises:
        RequestRefused: It is something else, or its media type is not `application/json`.
        BodyTooLarge: It exceeds the limit.
    """
    found = parsed_json(read_body("application/json"))
    if not isinstance(found, dict):
        raise RequestRefused("no JSON object")
    return found


def text_of(value: object, max_characters: int) -> str:
    """*value* if it is text that can be a name: not empty, not too long, valid Unicode.

    Raises:
        RequestRefused: It is something else.
    """
    if not isinstance(value, str) or not 1 <= len(value) <= max_characters:
        raise RequestRefused("a value is no text, empty or too long")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise RequestRefused("a value has half a character in it") from error
    return value


def json_response(
    status: int, body: dict[str, Any] | None = None, *, retry_after_seconds: int | None = None
) -> Response:
    """A response with *body* as JSON, or with an empty body; no cache may store it."""
    text = "" if body is None else json.dumps(body)
    response = Response(text, status, content_type="application/json")
    response.headers["Cache-Control"] = "no-store"
    if retry_after_seconds is not None:
        response.headers["Retry-After"] = str(retry_after_seconds)
    return response


def not_configured() -> Response:
    """The view of a route that is off: 404."""
    raise NotFound("this route is not configured")


def _without_repeated_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name comes twice")
    return found
