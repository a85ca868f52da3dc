"""Which spellings of a path reach our own endpoints, and the files of the single-page app?

Only the exact one. The router strips slashes, and servers decode: `//admin/sessions` would reach
`/admin/sessions` past a proxy in front that has a location of that name. Nothing is repaired.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import quote, quote_from_bytes

from flask import request
from werkzeug.routing import Rule

from bff.core.errors import NotFound, PathRefused, TargetTooLong
from bff.gateway.request_target import (
    PCHAR,
    TARGET_MAX_CHARACTERS,
    check_path,
    raw_target,
    shows,
)
from bff.gateway.route_table import loose_readings
from bff.gateway.unrouted import FlaskWithUnroutedRequests

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

SPA = "spa.spa"
"""The endpoint that takes every path."""
_PLAIN = re.compile(r"(?:/[A-Za-z0-9._~-]*[A-Za-z0-9_~-])+")
_SLASHES = re.compile(r"[/\\]+")
_ARGUMENT = re.compile(r"<(?:([^:<>]+):)?[^<>]+>")
_GROUPS = _ARGUMENT.groups
_END = re.compile(r"[?#].*", re.DOTALL)
_NEEDLESS_ESCAPE = re.compile(r"%(?:2e|3[0-9]|[46][1-9a-f]|[57][0-9a])", re.IGNORECASE)
"""Of a letter, a digit or a dot: no client encodes them (RFC 3986, 2.3)."""


def register_own_paths(
    app: FlaskWithUnroutedRequests,
    routes: str,
    reserved: Collection[str],
    told: Callable[[WSGIEnvironment], str | None] = lambda _: None,
) -> None:
    """Make every other spelling of a path of *app* a 404; call it when all our rules are there.

    A rule that is added later raises where it would never be reached.

    Args:
        app: The application.
        routes: The endpoint of the routes, which refuse other spellings themselves.
        reserved: The first segments of paths that are never the single-page app's.
        told: The target of a request as a trusted proxy got it, for a server that hides it.
    """
    own = OwnRules(app.url_map.iter_rules(), routes)
    app.on_rule = own.add_later

    def is_ours(reading: str) -> bool:
        return reading in own.paths or reading[1:].partition("/")[0] in reserved

    def refuse(detail: str) -> NoReturn:
        request.url_rule = None  # Else the endpoint's own format of errors would apply.
        raise NotFound(detail)

    def refuse_other_spellings() -> None:
        if request.endpoint == routes:
            return
        original = told(request.environ)
        path = path_as_sent(request.environ, original)
        if len(path) > TARGET_MAX_CHARACTERS:
            raise TargetTooLong(f"{len(path)} characters")  # Decoding it often takes long.
        try:
            check_path(path)
        except PathRefused as error:
            refuse(error.detail)
        if any(map(is_ours, _readings(path))) and (
            request.endpoint == SPA or not is_exact(request.environ, original)
        ):
            refuse("another spelling of a path of ours")
        if _NEEDLESS_ESCAPE.search(path) or not own.spells_rule(path, request.url_rule):
            refuse("another spelling of a path")

    app.before_request(refuse_other_spellings)


class OwnRules:
    """The rules of the application's router.

    Args:
        rules: Ours.
        routes: The endpoint of the proxy's routes.

    Attributes:
        paths: All that one rule alone has, word for word.
    """

    def __init__(self, rules: Iterable[Rule], routes: str) -> None:
        self._routes = routes
        self._rules: list[Rule] = []
        self.paths: set[str] = set()
        for rule in rules:
            self._add(rule)

    def _add(self, rule: Rule) -> None:
        self._rules.append(rule)
        # `/` and `/x/` have no exact spelling, since readings are compared without slashes.
        if rule.endpoint not in (SPA, self._routes) and _PLAIN.fullmatch(rule.rule):
            self.paths.add(rule.rule)

    def spells_rule(self, path: str, rule: Rule | None) -> bool:
        """Whether the fixed parts of *rule* stand in *path* as they are, and not encoded."""
        if rule is None or rule.endpoint == SPA:
            return True
        fixed = [quote(part, PCHAR) for part in _ARGUMENT.split(rule.rule)[:: _GROUPS + 1]]
        pattern = ".+".join(map(re.escape, fixed))
        return re.fullmatch(pattern, path, re.DOTALL) is not None

    def add_later(self, rule: Rule) -> None:
        """Add a rule that isn't ours.

        Raises:
            ValueError: Requests for it would go elsewhere, or may in a later version.
        """
        path = _ARGUMENT.sub(r"<\1>", rule.rule)
        if path == "/auth" or path.startswith("/auth/"):
            raise ValueError(f"{rule.rule}: addresses below /auth are the BFF's own")
        for other in self._rules:
            if other.endpoint == self._routes and f"{path}/".startswith(f"{other.rule}/"):
                raise ValueError(f"{rule.rule}: the proxy's route {other.rule} gets these requests")
            methods = (rule.methods or set()) & (other.methods or set()) - {"OPTIONS"}
            if path == _ARGUMENT.sub(r"<\1>", other.rule) and methods:
                raise ValueError(f"{rule.rule}: {other.endpoint} has {', '.join(sorted(methods))}")
        self._add(rule)


def is_exact(environ: WSGIEnvironment, told: str | None = None) -> bool:
    """Whether the path was sent as the server shows it, in characters with one reading only."""
    path: str = environ["PATH_INFO"]
    raw = raw_path(environ, told)
    if environ.get("SCRIPT_NAME") or (raw is not None and raw != path):
        return False
    return _PLAIN.fullmatch(path) is not None


def raw_path(environ: WSGIEnvironment, told: str | None) -> str | None:
    """The path as it was sent; None if nobody tells."""
    raw = raw_target(environ)
    if raw is None and told is not None and shows(environ, told):
        raw = told
    return None if raw is None else raw.partition("?")[0]


def path_as_sent(environ: WSGIEnvironment, told: str | None = None) -> str:
    """The path, encoded; as it was sent, if the server or *told* says so."""
    raw = raw_path(environ, told)
    if raw is not None:
        return raw
    return quote_from_bytes(environ["PATH_INFO"].encode("latin-1"), PCHAR)


def _readings(path: str) -> Iterator[str]:
    for reading in (path, *loose_readings(path)):
        yield "/" + "/".join(filter(None, _SLASHES.split(_END.sub("", reading))))
