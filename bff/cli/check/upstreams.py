"""Can each route's upstream be reached? It gets a connection and no request."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from bff.cli.check import connecting
from bff.cli.check.finding import Finding
from bff.config import Config
from bff.config.route import Origin, Route
from bff.config.route_validators import API_PREFIX


def questions(config: Config) -> list[Callable[[], list[Finding]]]:
    """One for each address, so that they can be asked at the same time."""
    addresses: dict[Origin, Route] = {}
    for route in config.routes:
        for origin in route.origins:
            addresses.setdefault(origin, route)
    return [partial(_look, config, origin, route) for origin, route in addresses.items()]


def _look(config: Config, origin: Origin, route: Route) -> list[Finding]:
    scheme, host, port = origin
    of_setting = config.api_url is not None and route.prefix == API_PREFIX
    variable = "BFF_API_URL" if of_setting else f"BFF_ROUTES_FILE (route {route.prefix})"
    shown = f"[{host}]" if ":" in host else host
    subject = f"upstream {scheme}://{shown}:{port}"
    return [connecting.look(subject, origin, (route.ca_file,), variable)]
