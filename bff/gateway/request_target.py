"""Which request target does the upstream get, and which targets are refused?

Nothing is repaired: a path that two servers could read differently is refused, every other passes
byte for byte. `docs/paths.md` says what each server makes of a path before it comes here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote_from_bytes, unquote_to_bytes

from bff.config.route import NEVER_FORWARDED_METHODS, Route
from bff.core.errors import MethodNotAllowed, PathRefused, TargetTooLong

TARGET_MAX_CHARACTERS = 8_192
DECODING_ROUNDS = 8
"""No legitimate path is encoded more often."""

RAW_TARGET_KEYS = ("RAW_URI", "REQUEST_URI")
"""The target as it was sent: under gunicorn and Werkzeug; under uWSGI and waitress."""

_METHOD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}")
USUAL_METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
"""For the `Allow` of a 405, where the route has no list of methods."""
_PLAIN_PATH = re.compile(r"(?:/[A-Za-z0-9_~!$&'()*+,=:@-][A-Za-z0-9._~!$&'()*+,=:@-]*)+/?")
"""Nothing encoded, no empty segment, none that begins with a dot: needs no further check."""
_PATH_CHARACTERS = re.compile(r"/[\x21\x22\x24-\x5b\x5d-\x7e]*")
_QUERY_CHARACTERS = re.compile(r"[\x21\x22\x24-\x7e]*")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ESCAPE = re.compile(rb"%[0-9A-Fa-f]{2}")
_CONTROLS_OR_BACKSLASH = re.compile(rb"[\x00-\x1f\x7f\\]")
PCHAR = "/!$&'()*+,;=:@"


def upstream_target(environ: Mapping[str, Any], route: Route, told: str | None = None) -> str:
    """The request target for the upstream: its own path, the rest of ours, the query.

    Args:
        environ: Of a request whose decoded path is on the route.
        route: Has the prefix to remove and the path to put in front.
        told: The target as a trusted proxy in front got it, for a server that hides it. It counts
            only if it is what the server shows, encoded.

    Raises:
        MethodNotAllowed: TRACE, CONNECT, an invalid method, or one not in the route's list.
        PathRefused: The target is invalid, or ambiguous for another server.
        TargetTooLong: It has more than 8,192 characters.

    Source: RFC 9110, 7.7 and 9.3.8; RFC 3986, 3.3 and 6.2.2.
    """
    check_method(environ["REQUEST_METHOD"], route)
    return target_on_route(*_split(environ, told), route)


def target_on_route(path: str, query: str, route: Route) -> str:
    """As `upstream_target`, for a path and a query that are certain, still encoded."""
    if len(path) + len(query) > TARGET_MAX_CHARACTERS:
        raise TargetTooLong(f"{len(path) + len(query)} characters")
    check_path(path)
    if query and not _QUERY_CHARACTERS.fullmatch(query):
        raise PathRefused("character in the query that a query can't have")
    prefix = route.prefix
    if not path.startswith(prefix) or path[len(prefix) : len(prefix) + 1] not in ("", "/"):
        raise PathRefused("the prefix is encoded")
    rest = route.base_path + path[len(prefix) :] or "/"
    return f"{rest}?{query}" if query else rest


def check_method(method: str, route: Route) -> None:
    """Raise MethodNotAllowed unless *method* may be used on *route*."""
    if route.methods is not None and method not in route.methods:
        raise MethodNotAllowed("not in the route's list", allow=route.methods)
    if method.upper() in NEVER_FORWARDED_METHODS or not _METHOD.fullmatch(method):
        raise MethodNotAllowed("never forwarded", allow=USUAL_METHODS)


def check_path(path: str) -> None:
    """Raise PathRefused unless *path* (still encoded) is unambiguous."""
    if _PLAIN_PATH.fullmatch(path):
        return
    if not _PATH_CHARACTERS.fullmatch(path):
        raise PathRefused("character that a path can't have")
    if _BAD_ESCAPE.search(path):
        raise PathRefused("invalid percent-encoding")
    decoded = path.encode("ascii")
    for _ in range(DECODING_ROUNDS):
        _check_decoded(decoded)
        if not _ESCAPE.search(decoded):
            return
        decoded = unquote_to_bytes(decoded)
    raise PathRefused("percent-encoding nested too deeply")


def _check_decoded(path: bytes) -> None:
    if _CONTROLS_OR_BACKSLASH.search(path):
        raise PathRefused("control character or backslash")
    try:
        path.decode("utf-8")
    except UnicodeDecodeError:
        # A lax decoder takes an overlong form such as %c0%ae for a dot.
        raise PathRefused("not UTF-8") from None
    if b"//" in path:
        raise PathRefused("empty segment")
    for segment in path.split(b"/"):
        # `/..;x=1/` is a dot segment to servers that remove path parameters.
        if segment.split(b";", 1)[0].strip() in (b".", b".."):
            raise PathRefused("dot segment")


def _split(environ: Mapping[str, Any], told: str | None) -> tuple[str, str]:
    """Path and query, still encoded."""
    if environ.get("SCRIPT_NAME"):
        raise PathRefused("mounted below a path")
    raw = raw_target(environ)
    if raw is not None:
        if not shows(environ, raw):
            raise PathRefused("the server's two views of the target disagree")
    elif told is not None and shows(environ, told):
        raw = told
    if raw is not None:
        path, _, query = raw.partition("?")
        return path, query
    decoded: str = environ["PATH_INFO"]
    if ";" in decoded:
        # A `;` begins a path parameter, and `%3B` doesn't (RFC 3986, 3.3).
        raise PathRefused("the server doesn't tell `;` from `%3B`")
    return quote_from_bytes(decoded.encode("latin-1"), PCHAR), environ.get("QUERY_STRING", "")


def shows(environ: Mapping[str, Any], raw: str) -> bool:
    """Whether the server's decoded view of the target is that of *raw*."""
    path, _, query = raw.partition("?")
    decoded: str = environ["PATH_INFO"]
    if query != environ.get("QUERY_STRING", ""):
        return False
    if "%" not in path and path.isascii():
        return path == decoded
    try:
        return unquote_to_bytes(path.encode("latin-1")) == decoded.encode("latin-1")
    except UnicodeEncodeError:
        return False


def raw_target(environ: Mapping[str, Any]) -> str | None:
    """The target as it was sent; None if the server doesn't provide it.

    Granian doesn't, and adds the process's environment to each request's, where a variable of that
    name would pass for the target.
    """
    if environ.get("SERVER_SOFTWARE") == "Granian":
        return None
    for key in RAW_TARGET_KEYS:
        raw = environ.get(key)
        if raw is not None:
            return str(raw)
    return None
