"""Which refresh tokens does a successful response bring that are not used?

The provider has issued them, so they must be revoked, however odd the response is (promise 3). A
token in a refusal is none of these: nothing was issued, and an echo may be in use.
"""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import parse_qs

import requests

from bff.provider.jws import is_unicode, text

_IN_JSON = re.compile(rb'"refresh_token"\s*:\s*("(?:[^"\\]|\\.)*")')
FORM_FIELDS_MAX = 50


def unused_refresh_tokens(
    response: requests.Response, body: dict[str, Any] | None, used: str | None = None
) -> tuple[str, ...]:
    """The refresh tokens in a response, each once, without the one that is used.

    Args:
        response: Of the token endpoint.
        body: Its JSON object; None if it isn't one. Its bytes are searched, too: a member that
            comes twice is in it once.
        used: The token that is used; None if none is.
    """
    if not 200 <= response.status_code < 300:
        return ()
    named = text(body.get("refresh_token")) if body is not None else None
    found = [named, *_in_json(response.content)]
    if not any(found):
        found = _in_form(response.content)
    return tuple(dict.fromkeys(one for one in found if one and one != used and is_unicode(one)))


def _in_json(content: bytes) -> list[str | None]:
    """Also in an array, deeper than it should be, or in JSON that can't be parsed."""
    return [_read(written) for written in _IN_JSON.findall(content)]


def _read(written: bytes) -> str | None:
    try:
        return text(json.loads(written))
    except ValueError:
        return None


def _in_form(content: bytes) -> list[str | None]:
    """Some old servers return a form instead of JSON."""
    try:
        form = parse_qs(content.decode("ascii"), max_num_fields=FORM_FIELDS_MAX)
    except ValueError:
        return []
    return [*form.get("refresh_token", [])]
