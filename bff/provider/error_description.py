"""Why did the provider refuse? The log has its `error_description`, without what may be a token.

It is for people and never decides anything (RFC 6749, 5.2).
"""

from __future__ import annotations

import base64
import json
import logging
import re
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

import requests

log = logging.getLogger("bff.provider")

DESCRIPTION_MAX_CHARACTERS = 300
SECRET_PARAMETERS = frozenset(
    {
        "refresh_token", "code", "code_verifier", "client_secret", "client_assertion",
        "subject_token", "token",
    }
)  # fmt: skip
REMOVED = "[removed]"
_LIKE_A_TOKEN = re.compile(r"(?=[\w.~+/=%-]*\d)[\w.~+/=%-]{16,}|[\w.~+/=%-]{40,}")


def log_description(response: requests.Response, body: dict[str, Any] | None) -> None:
    """Log the description in an error response, if there is one."""
    described = body.get("error_description") if body is not None else None
    if not isinstance(described, str) or not described:
        return
    for secret in _sent_secrets(response):
        described = described.replace(secret, REMOVED)
    # Before it is cut: the first half of a token would not look like one.
    described = _LIKE_A_TOKEN.sub(REMOVED, described)[:DESCRIPTION_MAX_CHARACTERS]
    # In ASCII and quoted, so that nothing in it can break the line or hide there (CWE-117).
    log.warning(
        "the provider refused a request (HTTP %s): %s", response.status_code, json.dumps(described)
    )


def _sent_secrets(response: requests.Response) -> list[str]:
    """The secrets in our request, the longest first: one may contain another."""
    request = response.request
    body = request.body or ""
    form = parse_qsl(body.decode() if isinstance(body, bytes) else str(body))
    found = [value for name, value in form if name in SECRET_PARAMETERS]
    scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
    if scheme == "Basic":
        pair = base64.b64decode(credentials).decode("utf-8", "replace")
        secret = pair.partition(":")[2]
        found += [credentials, secret, unquote_plus(secret)]
    return sorted((one for one in found if one), key=len, reverse=True)
