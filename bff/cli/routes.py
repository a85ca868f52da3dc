"""Which routes are there, and what would happen to a request? `python -m bff routes`.

It reads the settings only: no Redis, no provider, no upstream. A request is looked up and checked
by the code that serves it.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any
from urllib.parse import unquote_to_bytes

from bff.cli.exit_codes import OK, REQUEST_REFUSED, WRONG_USAGE
from bff.config import Config
from bff.config.route import RESERVED_SEGMENTS, Route
from bff.core.errors import (
    BFFError,
    BodyTooLarge,
    CrossSite,
    MethodNotAllowed,
    RouteTokenRefused,
    SessionMissing,
    StepUpRequired,
)
from bff.gateway.request_target import upstream_target
from bff.gateway.route_table import RouteTable

COLUMNS = ("prefix", "upstream", "methods", "token", "limits")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options."""
    parser.add_argument("method", nargs="?", metavar="METHOD", help="say what would happen to it")
    parser.add_argument("target", nargs="?", metavar="TARGET", help="path and query, as sent")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace, config: Config) -> int:
    """Print the table, or what would happen to one request.

    Returns:
        The exit code: 0, 1 for a request that would not be forwarded, 2 for METHOD without TARGET.
    """
    table = RouteTable(config.routes)
    if options.method is None:
        return _print_table(table, as_json=options.json)
    if options.target is None:
        print("After METHOD comes TARGET, such as: GET /api/orders/7", file=sys.stderr)
        return WRONG_USAGE
    outcome, code = _outcome(options.method, options.target, table)
    if options.json:
        print(json.dumps(outcome))
    else:
        width = max(map(len, outcome))
        for name, value in outcome.items():
            for line in value if isinstance(value, list) else [value]:
                print(f"{name:<{width}}  {line}")
    return code


# ---------------------------------------------------------------- the table
def _print_table(table: RouteTable, *, as_json: bool) -> int:
    if as_json:
        print(json.dumps({"routes": [_row(route) for route in table]}))
        return OK
    rows = [[_cell(one) for one in _row(route).values()] for route in table]
    widths = [max(map(len, column)) for column in zip(COLUMNS, *rows, strict=True)]
    for row in (COLUMNS, *rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())
    return OK


def _row(route: Route) -> dict[str, Any]:
    return {
        "prefix": route.prefix,
        "upstream": [url + ("" if route.strip_prefix else route.prefix)
                     for url in route.upstream_urls],
        "methods": "any" if route.methods is None else sorted(route.methods),
        "token": _token(route),
        "limits": _limits(route),
    }  # fmt: skip


def _cell(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value)


def _token(route: Route) -> str:
    rule = route.token
    words: list[str] = [rule.mode]
    words += [f"for {rule.audience}"] if rule.audience else []
    words += [f"scope {rule.scope}"] if rule.scope else []
    words += [f"as {rule.client_id}"] if rule.client_id else []
    required = _step_up(route)
    return " ".join(words) + (f"; {required}" if required else "")


def _step_up(route: Route) -> str:
    """What the route requires of the sign-in."""
    required = []
    if route.step_up and route.step_up.acr_values:
        required.append(f"acr {' or '.join(route.step_up.acr_values)}")
    if route.step_up and route.step_up.max_age_seconds is not None:
        required.append(f"sign-in at most {route.step_up.max_age_seconds} s old")
    return ", ".join(required)


def _limits(route: Route) -> str:
    body = f"body {route.request_max_bytes} bytes" if route.request_max_bytes else "any body"
    connect, response = route.connect_timeout_seconds, route.answer_timeout_seconds
    return f"connect {connect:g} s, answer {response:g} s, {body}"


# ---------------------------------------------------------------- one request
def _outcome(method: str, target: str, table: RouteTable) -> tuple[dict[str, Any], int]:
    """What would happen to the request, by name, and the exit code."""
    path, _, query = target.partition("?")
    decoded = unquote_to_bytes(path).decode("latin-1")
    environ = {
        "REQUEST_METHOD": method, "PATH_INFO": decoded, "QUERY_STRING": query, "RAW_URI": target,
    }  # fmt: skip
    route = None
    try:
        route = table.find(decoded)
        if route is None:
            return _without_route(decoded), REQUEST_REFUSED
        upstream_path = upstream_target(environ, route)
    except BFFError as error:
        return _refused(error, route), REQUEST_REFUSED
    return {
        "route": route.prefix,
        "upstream": [f"{method} {_origin(url)}{upstream_path}" for url in route.upstream_urls],
        "token": _token(route),
        "header fields": _headers(route),
        "limits": _limits(route),
        "sent again": "if a kept connection breaks" if method in route.repeatable_methods
                      else "never, once it may have been sent",
        "refused if": _refusals(route),
    }, OK  # fmt: skip


def _origin(url: str) -> str:
    return "/".join(url.split("/", 3)[:3])


def _without_route(path: str) -> dict[str, Any]:
    if path[1:].partition("/")[0] in RESERVED_SEGMENTS:
        return {"route": "none; the BFF answers this itself"}
    return {"route": "none; the single-page app's files, else a 404"}


def _named(error: type[BFFError]) -> str:
    return f"{error.status} {error.code}"


def _refused(error: BFFError, route: Route | None) -> dict[str, Any]:
    outcome = {
        "route": route.prefix if route else "none",
        "answer": f"{error.status} {error.code}",
        "why": error.detail,
    }
    if isinstance(error, MethodNotAllowed):
        outcome["allow"] = error.allow
    return outcome


def _headers(route: Route) -> str:
    headers, cookies = route.request_headers, route.request_cookies
    text = "all that are safe" if headers is None else ", ".join(sorted(headers)) or "none"
    if cookies:
        text += f"; cookies {', '.join(sorted(cookies))}"
    if route.answer_cookies:
        text += f"; the answer may set {', '.join(sorted(route.answer_cookies))}"
    return text


def _refusals(route: Route) -> list[str]:
    """Which requests would be refused, and with which status and code."""
    mode = route.token.mode
    refusals = []
    if mode == "optional":
        refusals.append(f"{_named(CrossSite)}: another site sends it with the session cookie")
    elif mode != "none":
        refusals.append(f"{_named(CrossSite)}: another site sends it")
        refusals.append(f"{_named(SessionMissing)}: there is no session")
    if route.step_up:
        refusals.append(f"{_named(StepUpRequired)}: the session has not {_step_up(route)}")
    if mode in ("audience", "exchange"):
        refusals.append(f"{_named(RouteTokenRefused)}: the provider gives no such token")
    if route.request_max_bytes:
        refusals.append(
            f"{_named(BodyTooLarge)}: the body has more than {route.request_max_bytes} bytes"
        )
    return refusals
