"""Which spellings of a path reach our own endpoints, and the files of the single-page app?

Only the exact one. The router strips slashes, and servers decode: `//admin/sessions` would reach
`/admin/sessions` past a proxy in front that has a location of that name. Nothing is repaired.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import quote_from_bytes

from flask import Flask, request

from bff.core.errors import NotFound, PathRefused, TargetTooLong
from bff.gateway.request_target import PCHAR, TARGET_MAX_CHARACTERS, check_path, raw_target
from bff.gateway.route_table import loose_readings

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

SPA = "spa.spa"
"""The endpoint that takes every path."""
_PLAIN = re.compile(r"(?:/[A-Za-z0-9._~-]*[A-Za-z0-9_~-])+")
_SLASHES = re.compile(r"[/\\]+")
_END = re.compile(r"[?#].*", re.DOTALL)


def register_own_paths(app: Flask, routes: str, reserved: Collection[str]) -> None:
    """Make every other spelling of a path of *app* a 404; call it when all rules are there.

    Args:
        app: The application.
        routes: The endpoint of the routes, which refuse other spellings themselves.
        reserved: The first segments of paths that are never the single-page app's.
    """
    rules = [rule for rule in app.url_map.iter_rules() if rule.endpoint not in (SPA, routes)]
    own = frozenset(rule.rule for rule in rules if not rule.arguments)

    def is_ours(reading: str) -> bool:
        return reading in own or reading[1:].partition("/")[0] in reserved

    def refuse(detail: str) -> NoReturn:
        request.url_rule = None  # Else the endpoint's own format of errors would apply.
        raise NotFound(detail)

    def refuse_other_spellings() -> None:
        if request.endpoint == routes:
            return
        path = path_as_sent(request.environ)
        if len(path) > TARGET_MAX_CHARACTERS:
            raise TargetTooLong(f"{len(path)} characters")  # Decoding it often takes long.
        try:
            check_path(path)
        except PathRefused as error:
            refuse(error.detail)
        if any(map(is_ours, _readings(path))) and (
            request.endpoint == SPA or not is_exact(request.environ)
        ):
            refuse("another spelling of a path of ours")

    app.before_request(refuse_other_spellings)


def is_exact(environ: WSGIEnvironment) -> bool:
    """Whether the path was sent as the server shows it, in characters with one reading only."""
    path: str = environ["PATH_INFO"]
    raw = raw_target(environ)
    if environ.get("SCRIPT_NAME") or (raw is not None and raw.partition("?")[0] != path):
        return False
    return _PLAIN.fullmatch(path) is not None


def path_as_sent(environ: WSGIEnvironment) -> str:
    """The path, encoded; as it was sent, if the server tells."""
    raw = raw_target(environ)
    if raw is not None:
        return raw.partition("?")[0]
    return quote_from_bytes(environ["PATH_INFO"].encode("latin-1"), PCHAR)


def _readings(path: str) -> Iterator[str]:
    for reading in (path, *loose_readings(path)):
        yield "/" + "/".join(filter(None, _SLASHES.split(_END.sub("", reading))))
