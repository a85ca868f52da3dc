"""What is in the routes file, and what is wrong with it, everything told at once?"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bff.config.route_entry import RouteEntry
from bff.config.route_validators import API_PREFIX, together
from bff.config.validators import same_place

SETTING = "BFF_ROUTES_FILE"
SHOWN_CHARACTERS = 80


@dataclass
class Seen:
    """What the routes before have taken."""

    prefixes: dict[str, str] = field(default_factory=dict)
    """Each as it stands there, by its reading without case."""
    variables: dict[str, Any] = field(default_factory=dict)
    """The variable with the secret of each client."""


@dataclass
class RoutesFile:
    """What was read: the routes that are right, and a line for everything that is wrong."""

    entries: list[RouteEntry] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    variables: set[str] = field(default_factory=set)
    """The environment variables that it names."""

    def complain(self, text: str) -> None:
        """Note a problem."""
        self.problems.append(f"{SETTING}: {text}")


def read(path: str | None, environ: Mapping[str, str]) -> RoutesFile:
    """Read the file at *path*; no path, no routes.

    Args:
        path: From the settings.
        environ: Where the secrets are that it names.
    """
    found = RoutesFile()
    tables = _tables(Path(path), found) if path else []
    seen = Seen()
    for position, table in enumerate(tables, 1):
        _read_route(table, position, seen, environ, found)
    return found


def _tables(path: Path, found: RoutesFile) -> list[Any]:
    try:
        with path.open("rb") as file:
            content = tomllib.load(file)
    except OSError as error:
        found.complain(f"can't be read: {error.strerror or error}")
        return []
    except ValueError as error:  # TOMLDecodeError is one, and so is what is not UTF-8.
        what = str(error) if isinstance(error, tomllib.TOMLDecodeError) else "not UTF-8"
        found.complain(f"is not TOML: {what}")
        return []
    for key in content:
        if key != "route":
            found.complain(f"{_shown(key)}: no such key{_suggestion(key, ['route'])}")
    routes = content.get("route", [])
    if not isinstance(routes, list):
        found.complain("route: must be written [[route]], in two pairs of brackets")
        return []
    if not routes:
        found.complain("has no [[route]] in it")
    return routes


def _read_route(
    table: Any, position: int, seen: Seen, environ: Mapping[str, str], found: RoutesFile
) -> None:
    if not isinstance(table, dict):
        found.complain(f"route {position}: must be a table")
        return
    prefix = table.get("prefix")
    named = isinstance(prefix, str) and prefix.startswith("/")
    name = f"route {_shown(str(prefix)) if named else position}"
    wrong = _described(table)
    # Whatever is wrong by itself is told once.
    for key, text in (*together(table, environ), *_around(table, position, seen, environ)):
        wrong.setdefault(key, text)
    if isinstance(variable := table.get("client_secret_env"), str):
        found.variables.add(variable)
    for key, text in wrong.items():
        found.complain(f"{name}: {key}: {text}")
    if not wrong:
        found.entries.append(RouteEntry.model_validate(table))


def _around(
    table: dict[str, Any], position: int, seen: Seen, environ: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """Key and problem for what doesn't go with the other routes, or with the settings."""
    prefix, upstream = table.get("prefix"), table.get("upstream")
    if isinstance(prefix, str):
        # Some upstreams, and some people, don't tell /api from /API.
        earlier = seen.prefixes.get(prefix.casefold())
        if earlier is not None:
            yield "prefix", f"there is a route {_shown(earlier)} already; this is number {position}"
        seen.prefixes[prefix.casefold()] = prefix
        if prefix.casefold() == API_PREFIX and environ.get("BFF_API_URL"):
            yield "prefix", "BFF_API_URL makes that route already"
    ours = environ.get("APP_BASE_URL", "")
    for url in upstream if isinstance(upstream, list) else [upstream]:
        if isinstance(url, str) and same_place(url, ours):
            yield "upstream", "is this application itself (APP_BASE_URL)"
    client, variable = table.get("client_id"), table.get("client_secret_env")
    if isinstance(client, str):
        if client == environ.get("AUTH0_CLIENT_ID"):
            yield "client_id", "is our own client (AUTH0_CLIENT_ID); leave it out"
        if seen.variables.setdefault(client, variable) != variable:
            yield "client_secret_env", "is another one than in an earlier route with that client_id"


def _described(table: dict[str, Any]) -> dict[str, str]:
    """The keys that are wrong by themselves."""
    try:
        RouteEntry.model_validate(table)
    except ValidationError as error:
        return {
            _shown(str(item["loc"][0])): _text(item["type"], str(item["loc"][0]), item["msg"])
            for item in error.errors(include_url=False, include_input=False)
        }
    return {}


def _text(kind: str, key: str, message: str) -> str:
    if kind == "missing":
        return "is missing"
    if kind == "extra_forbidden":
        return f"no such key{_suggestion(key, list(RouteEntry.model_fields))}"
    return message.removeprefix("Value error, ")


def _suggestion(key: str, known: list[str]) -> str:
    near = difflib.get_close_matches(key.lower(), known, n=1)
    return f"; {near[0]}?" if near else ""


def _shown(text: str) -> str:
    """A key or prefix as it can be printed."""
    return text[:SHOWN_CHARACTERS].encode("unicode_escape").decode("ascii")
