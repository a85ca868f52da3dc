"""The smallest application that forwards: the proxy alone, with a constant access token."""

from __future__ import annotations

import json
import os
from pathlib import Path

from flask import Flask, Response

from bff.config import Config, load
from bff.config.route import Route
from bff.core.errors import BFFError
from bff.gateway.client_address import ClientAddresses
from bff.gateway.lingering_close import LingeringClose
from bff.gateway.open_responses import OpenResponses
from bff.gateway.proxy import Proxy, ProxyEndpoint, register_proxy_errors
from bff.gateway.route_access import RouteAccess
from bff.gateway.route_table import RouteTable
from bff.gateway.unrouted import FlaskWithUnroutedRequests
from bff.gateway.upstream import Exchange

TOKEN = "t0ken-of-the-session"

DEFAULTS = {
    "OIDC_ISSUER": "https://issuer.test/",
    "AUTH0_CLIENT_ID": "client",
    "AUTH0_CLIENT_SECRET": "not used here",
    "AUTH0_SECRET": "0123456789abcdef0123456789abcdef",
    "APP_BASE_URL": "https://app.test",
}


class OpenAccess(RouteAccess):
    """Every request may use every route, with the same access token and without a session."""

    def __init__(self) -> None:
        pass

    def access_token(self, route: Route) -> str | None:
        return TOKEN

    def used_session(self) -> tuple[str | None, str | None]:
        return None, None


class NoLimit(OpenResponses):
    """Any number of responses may be open, and nothing breaks them off."""

    def __init__(self) -> None:
        pass

    def add(self, session_key: str | None, exchange: Exchange, may_refuse: bool) -> None:
        pass


def add_proxy(app: FlaskWithUnroutedRequests, config: Config, access: RouteAccess) -> None:
    """Let *app* forward requests, as `bff.app.factory` does."""
    proxy = Proxy(config, RouteTable(config.routes), access, NoLimit())
    register_proxy_errors(app, proxy)
    app.wsgi_app = ProxyEndpoint(app, proxy)  # type: ignore[method-assign]


def create_app(environ: dict[str, str]) -> Flask:
    """An application with the routes of `BFF_API_URL` and `BFF_ROUTES_FILE`."""
    config = load(DEFAULTS | environ)
    app = FlaskWithUnroutedRequests(__name__, static_folder=None)

    @app.errorhandler(BFFError)
    def refuse(error: BFFError) -> Response:
        body = json.dumps({"code": error.code, "detail": error.detail})
        response = Response(body, error.status, content_type="application/problem+json")
        response.headers["X-Code"] = error.code
        return response

    @app.get("/ok")
    def ok() -> str:
        return "ok"

    @app.get("/memory")
    def memory() -> dict[str, int]:
        return {
            "rss_bytes": resident_bytes(),
            "threads": len(list(Path("/proc/self/task").iterdir())),
        }

    add_proxy(app, config, OpenAccess())
    clients = ClientAddresses(config.trusted_proxies)
    app.wsgi_app = LingeringClose(app.wsgi_app, clients)  # type: ignore[method-assign]
    return app


def resident_bytes() -> int:
    """How much memory this process uses (Linux)."""
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def wsgi() -> Flask:
    """For a server: settings from the environment."""
    return create_app({k: v for k, v in os.environ.items() if k.startswith(("BFF_", "APP_"))})


if os.environ.get("BFF_API_URL") or os.environ.get("BFF_ROUTES_FILE"):
    app = wsgi()
