"""Which route does a path belong to?

The longest prefix wins, so `/api` and `/api/orders` may both exist. Then `/api/Orders` and
`/api/orders;x` belong to `/api` to the letter, while an upstream that reads paths loosely may take
them for `/api/orders`, past the rules of that route: such paths are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from urllib.parse import unquote

from bff.config.route import Route
from bff.core.errors import PathRefused

_PLAIN = re.compile(r"[a-z0-9/_~-]*")
"""Has one reading only."""
_PARAMETERS = re.compile(r";[^/]*")
_ROUNDS = 8


class RouteTable:
    """Finds routes by path.

    Args:
        routes: No two have one prefix.
    """

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = tuple(sorted(routes, key=lambda route: route.prefix))
        """In the order of their prefixes."""
        self._by_first: dict[str, tuple[Route, ...]] = {}
        for route in sorted(self.routes, key=lambda route: -len(route.prefix)):
            first = _first_segment(route.prefix)
            self._by_first[first] = (*self._by_first.get(first, ()), route)
        self._inner = {
            route.prefix: tuple(
                one.prefix.casefold()
                for one in self.routes
                if one is not route and route.covers(one.prefix)
            )
            for route in self.routes
        }
        # The usual table has one route, and every request asks.
        self._only = self.routes[0] if len(self.routes) == 1 else None

    def __iter__(self) -> Iterator[Route]:
        return iter(self.routes)

    def find(self, path: str) -> Route | None:
        """The route of a decoded path; None if it is under none of the prefixes.

        Raises:
            PathRefused: It may be read as a path of a route further in.
        """
        only = self._only
        if only is not None:
            return only if only.covers(path) else None
        for route in self._by_first.get(_first_segment(path), ()):
            if route.covers(path):
                inner = self._inner[route.prefix]
                if inner:
                    _refuse_lookalike(path, inner)
                return route
        return None


def _first_segment(path: str) -> str:
    return path[1:].partition("/")[0]


def _refuse_lookalike(path: str, inner: tuple[str, ...]) -> None:
    """Raise PathRefused if a loose reading of *path* is under one of the *inner* prefixes."""
    for reading in (path,) if _PLAIN.fullmatch(path) else _loose_readings(path):
        for prefix in inner:
            if reading.startswith(prefix) and reading[len(prefix) : len(prefix) + 1] in ("", "/"):
                raise PathRefused(f"looks like a path of the route {prefix}")


def _loose_readings(path: str) -> Iterator[str]:
    """*path* and what it is after each round of decoding, as a server reads it that is not exact:
    without case, path parameters, and dots or blanks at the end of a segment."""
    # WSGI has one character for each byte.
    loose = path.encode("latin-1", "replace").decode("utf-8", "replace")
    for _ in range(_ROUNDS):
        loose = _PARAMETERS.sub("", loose).casefold()
        yield "/".join(segment.rstrip(" .") for segment in loose.split("/"))
        if "%" not in loose:
            return
        loose = unquote(loose)
