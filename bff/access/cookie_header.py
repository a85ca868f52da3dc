"""Which cookies did a request carry, whatever else is in its `Cookie` header?

Any page of a domain can set a cookie for all its hosts, in any encoding. So only the `;` between
cookies counts here, and bytes that are no ASCII, or no UTF-8, hide no other cookie. Werkzeug's
parser (`request.cookies`) raises UnicodeDecodeError instead.
Source: RFC 6265, sections 4.2 and 5.4.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bff.core import audit
from bff.core.errors import CookiesUnreadable


def cookie_values(environ: Mapping[str, Any], name: str) -> list[str]:
    """The values of all cookies of this name, in the order of the header.

    Never split at a comma: a foreign cookie may contain one, and could then pose as ours.
    """
    if name not in environ.get("HTTP_COOKIE", ""):
        return []
    return cookie_values_of(environ, name)[0]


def cookie_values_of(environ: Mapping[str, Any], *names: str) -> list[list[str]]:
    """As `cookie_values`, for each of these names."""
    found: dict[str, list[str]] = {name: [] for name in names}
    for part in environ.get("HTTP_COOKIE", "").split(";"):
        name, equals, value = part.partition("=")
        values = found.get(name.strip(" \t"))
        if values is not None and equals:
            values.append(value.strip(" \t"))
    return [found[name] for name in names]


def all_cookies(environ: Mapping[str, Any]) -> dict[str, str]:
    """The first value of each name."""
    found: dict[str, str] = {}
    for name, value in _pairs(environ):
        found.setdefault(name, value)
    return found


def are_hidden(environ: Mapping[str, Any]) -> bool:
    """Whether the server hides the cookies of this request.

    Granian (2.8) passes a header with a byte that is no ASCII as an empty one; browsers send no
    empty `Cookie`.
    """
    return environ.get("HTTP_COOKIE") == ""


def refuse_unreadable(environ: Mapping[str, Any]) -> None:
    """Refuse a request whose cookies the server hides, instead of taking them for absent.

    Raises:
        CookiesUnreadable: The header is there, and empty.
    """
    if are_hidden(environ):
        audit.record("request_refused", "refused", reason=CookiesUnreadable.code)
        raise CookiesUnreadable("the server passed an empty Cookie header")


def _pairs(environ: Mapping[str, Any]) -> list[tuple[str, str]]:
    parts = environ.get("HTTP_COOKIE", "").split(";")
    # The test comes first: there may be 60,000 empty ones, and they cost a third so.
    pairs = [part.partition("=") for part in parts if "=" in part]
    return [(name.strip(" \t"), value.strip(" \t")) for name, _, value in pairs]
