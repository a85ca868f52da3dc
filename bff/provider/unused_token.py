"""Which refresh token does a successful response bring that can't be used?

The provider has issued it, so it must be revoked, however odd the response is (promise 3). A token
in a refusal is none of these: nothing was issued, and an echo may be in use.
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


def unused_refresh_token(response: requests.Response, body: dict[str, Any] | None) -> str | None:
    """The refresh token in a response whose tokens are not used; None if there is none.

    Args:
        response: Of the token endpoint.
        body: Its JSON object; None if it isn't one. Then its bytes are searched.
    """
    if not 200 <= response.status_code < 300:
        return None
    found = body.get("refresh_token") if body is not None else None
    found = text(found) or _in_json(response.content) or _in_form(response.content)
    return found if found is not None and is_unicode(found) else None


def _in_json(content: bytes) -> str | None:
    """Also in an array, deeper than it should be, or in JSON that can't be parsed."""
    match = _IN_JSON.search(content)
    try:
        return text(json.loads(match[1])) if match is not None else None
    except ValueError:
        return None


def _in_form(content: bytes) -> str | None:
    """Some old servers return a form instead of JSON."""
    try:
        form = parse_qs(content.decode("ascii"), max_num_fields=FORM_FIELDS_MAX)
    except ValueError:
        return None
    return form.get("refresh_token", [None])[0]
