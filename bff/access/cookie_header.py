"""Which cookies did a request carry, whatever else is in its `Cookie` header?

Any page of a domain can set a cookie for all its hosts, in any encoding. So only the `;` between
cookies counts here, and bytes that are no ASCII, or no UTF-8, hide no other cookie. Werkzeug's
parser (`request.cookies`) raises UnicodeDecodeError instead.
Source: RFC 6265, sections 4.2 and 5.4.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def cookie_values(environ: Mapping[str, Any], name: str) -> list[str]:
    """The values of all cookies of this name, in the order of the header.

    Never split at a comma: a foreign cookie may contain one, and could then pose as ours.
    """
    return [value for found, value in _pairs(environ) if found == name]


def all_cookies(environ: Mapping[str, Any]) -> dict[str, str]:
    """The first value of each name."""
    found: dict[str, str] = {}
    for name, value in _pairs(environ):
        found.setdefault(name, value)
    return found


def _pairs(environ: Mapping[str, Any]) -> list[tuple[str, str]]:
    pairs = (part.partition("=") for part in environ.get("HTTP_COOKIE", "").split(";"))
    return [(name.strip(" \t"), value.strip(" \t")) for name, equals, value in pairs if equals]
