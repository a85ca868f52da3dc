"""Which routes are in the routes file, and what is wrong with it, all at once?"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bff.config.route_entry import RouteEntry
from bff.config.route_validators import API_PREFIX, combination_problems
from bff.config.validators import same_host_and_port

SETTING = "BFF_ROUTES_FILE"
PRINTED_MAX_CHARACTERS = 80


@dataclass
class EarlierRoutes:
    """What the routes above have taken already."""

    prefixes: dict[str, str] = field(default_factory=dict)
    """Each prefix as written, by its case-folded form."""
    variables: dict[str, Any] = field(default_factory=dict)
    """The name of the variable with its secret, by client id."""


@dataclass
class RoutesFile:
    """The valid routes of the file, and a line for each problem."""

    entries: list[RouteEntry] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    variables: set[str] = field(default_factory=set)
    """The environment variables that the file names."""

    def add_problem(self, text: str) -> None:
        """Report a problem with the file."""
        self.problems.append(f"{SETTING}: {text}")


def read(path: str | None, environ: Mapping[str, str]) -> RoutesFile:
    """Read the file at *path*; without a path there are no routes.

    Args:
        path: From the settings.
        environ: Has the secrets whose variables the file names.
    """
    file = RoutesFile()
    tables = _tables(Path(path), file) if path else []
    earlier = EarlierRoutes()
    for position, table in enumerate(tables, 1):
        _read_route(table, position, earlier, environ, file)
    return file


def _tables(path: Path, file: RoutesFile) -> list[Any]:
    try:
        # Windows begins a file with a byte order mark, which can't be seen.
        content = tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        file.add_problem(f"can't be read: {error.strerror or error}")
        return []
    except ValueError as error:  # TOMLDecodeError and UnicodeDecodeError are subclasses.
        what = str(error) if isinstance(error, tomllib.TOMLDecodeError) else "not UTF-8"
        file.add_problem(f"is not TOML: {what}")
        return []
    for key in content:
        if key != "route":
            file.add_problem(f"{_printable(key)}: no such key{_suggestion(key, ['route'])}")
    routes = content.get("route", [])
    if not isinstance(routes, list):
        file.add_problem("route: must be written [[route]], in two pairs of brackets")
        return []
    if not routes:
        file.add_problem("has no [[route]] in it")
    return routes


def _read_route(
    table: Any, position: int, earlier: EarlierRoutes, environ: Mapping[str, str], file: RoutesFile
) -> None:
    if not isinstance(table, dict):
        file.add_problem(f"route {position}: must be a table")
        return
    prefix = table.get("prefix")
    named = isinstance(prefix, str) and prefix.startswith("/")
    name = f"route {_printable(str(prefix)) if named else position}"
    problems = _validation_problems(table)
    # A key that is invalid by itself is reported once.
    for key, text in (
        *combination_problems(table, environ),
        *_conflicts(table, position, earlier, environ),
    ):
        problems.setdefault(key, text)
    if isinstance(variable := table.get("client_secret_env"), str):
        file.variables.add(variable)
    for key, text in problems.items():
        file.add_problem(f"{name}: {key}: {text}")
    if not problems:
        file.entries.append(RouteEntry.model_validate(table))


def _conflicts(
    table: dict[str, Any], position: int, earlier: EarlierRoutes, environ: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """Key and problem for each conflict with an earlier route or with the settings."""
    prefix, upstream = table.get("prefix"), table.get("upstream")
    if isinstance(prefix, str):
        # Some upstreams, and some readers, take /API for /api.
        same = earlier.prefixes.get(prefix.casefold())
        if same is not None:
            yield (
                "prefix",
                f"there is a route {_printable(same)} already; this is number {position}",
            )
        earlier.prefixes[prefix.casefold()] = prefix
        if prefix.casefold() == API_PREFIX and environ.get("BFF_API_URL"):
            yield "prefix", "BFF_API_URL makes that route already"
    own_url = environ.get("APP_BASE_URL", "")
    for url in upstream if isinstance(upstream, list) else [upstream]:
        if isinstance(url, str) and same_host_and_port(url, own_url):
            yield "upstream", "is this application itself (APP_BASE_URL)"
    client, variable = table.get("client_id"), table.get("client_secret_env")
    if isinstance(client, str):
        if client == environ.get("AUTH0_CLIENT_ID"):
            yield "client_id", "is our own client (AUTH0_CLIENT_ID); leave it out"
        if earlier.variables.setdefault(client, variable) != variable:
            yield "client_secret_env", "is another one than in an earlier route with that client_id"


def _validation_problems(table: dict[str, Any]) -> dict[str, str]:
    """The problem with each key that is invalid by itself."""
    try:
        RouteEntry.model_validate(table)
    except ValidationError as error:
        return {
            _printable(str(item["loc"][0])): _text(item["type"], str(item["loc"][0]), item["msg"])
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


def _printable(text: str) -> str:
    """A key or prefix of the file, safe to print."""
    return text[:PRINTED_MAX_CHARACTERS].encode("unicode_escape").decode("ascii")
