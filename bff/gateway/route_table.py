"""Which route does a path belong to?

The longest prefix wins, so `/api` and `/api/orders` may both exist. Then `/api/Orders` and
`/api/orders;x` literally belong to `/api`, but an upstream that parses paths loosely may take them
for `/api/orders`, and bypass what that route requires: such paths are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from urllib.parse import unquote

from bff.config.route import Route
from bff.core.errors import PathRefused
from bff.gateway.request_target import TARGET_MAX_CHARACTERS

PROXY_ENDPOINT = "proxy.forward"
"""The endpoint of all requests on routes."""

_PLAIN = re.compile(r"[a-z0-9/_~-]*")
"""A path of these characters is unambiguous."""
_PARAMETERS = re.compile(r";[^/]*")
_DECODING_ROUNDS = 8


class RouteTable:
    """Finds routes by path.

    Args:
        routes: Each has its own prefix.
    """

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = tuple(sorted(routes, key=lambda route: route.prefix))
        """Sorted by prefix."""
        self._by_first: dict[str, tuple[Route, ...]] = {}
        for route in sorted(self.routes, key=lambda route: -len(route.prefix)):
            first = _first_segment(route.prefix)
            self._by_first[first] = (*self._by_first.get(first, ()), route)
        self._nested = {
            route.prefix: tuple(
                other.prefix.casefold()
                for other in self.routes
                if other is not route and route.covers(other.prefix)
            )
            for route in self.routes
        }
        # Most tables have one route, and every request is looked up.
        self._only = self.routes[0] if len(self.routes) == 1 else None

    def __iter__(self) -> Iterator[Route]:
        return iter(self.routes)

    def find(self, path: str) -> Route | None:
        """The route of a decoded path; None if it is under none of the prefixes.

        Raises:
            PathRefused: An upstream could take it for a path of a nested route.
        """
        only = self._only
        if only is not None:
            return only if only.covers(path) else None
        for route in self._by_first.get(_first_segment(path), ()):
            if route.covers(path):
                nested = self._nested[route.prefix]
                if nested and len(path) <= TARGET_MAX_CHARACTERS:  # Others are refused later.
                    _refuse_lookalike(path, nested)
                return route
        return None


def _first_segment(path: str) -> str:
    return path[1:].partition("/")[0]


def _refuse_lookalike(path: str, prefixes: tuple[str, ...]) -> None:
    """Raise PathRefused if a loose reading of *path* is under one of *prefixes*."""
    for reading in (path,) if _PLAIN.fullmatch(path) else loose_readings(path):
        for prefix in prefixes:
            if reading.startswith(prefix) and reading[len(prefix) : len(prefix) + 1] in ("", "/"):
                raise PathRefused(f"looks like a path of the route {prefix}")


def loose_readings(path: str) -> Iterator[str]:
    """*path*, decoded up to eight times, as a lax server may read it.

    Without regard to case, path parameters, and dots or spaces at the end of a segment.
    """
    # In WSGI, each character stands for one byte.
    loose = path.encode("latin-1", "replace").decode("utf-8", "replace")
    for _ in range(_DECODING_ROUNDS):
        loose = _PARAMETERS.sub("", loose).casefold()
        yield "/".join(segment.rstrip(" .") for segment in loose.split("/"))
        if "%" not in loose:
            return
        loose = unquote(loose)
