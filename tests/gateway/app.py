"""The smallest application that forwards: the proxy alone, with a constant token."""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path

from flask import Flask, Response

from bff.config import load
from bff.config.route import Route
from bff.core.errors import BFFError
from bff.gateway import proxy
from bff.gateway.client_address import ClientAddresses
from bff.gateway.lingering_close import LingeringClose
from bff.gateway.unrouted import FlaskWithUnroutedRequests

TOKEN = "t0ken-of-the-session"

DEFAULTS = {
    "OIDC_ISSUER": "https://issuer.test/",
    "AUTH0_CLIENT_ID": "client",
    "AUTH0_CLIENT_SECRET": "not used here",
    "AUTH0_SECRET": "0123456789abcdef0123456789abcdef",
    "APP_BASE_URL": "https://app.test",
}

calls = itertools.count(1)
"""How often the session was asked for."""


def create_app(environ: dict[str, str]) -> Flask:
    """An application with the routes of `BFF_API_URL` and `BFF_ROUTES_FILE`."""
    config = load(DEFAULTS | environ)
    app = FlaskWithUnroutedRequests(__name__, static_folder=None)

    def bearer(route: Route) -> str:
        app.config["BEARER_CALLS"] = next(calls)
        return TOKEN

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

    proxy.install(app, config, bearer)
    trusted = ClientAddresses(config.trusted_proxies).from_trusted_proxy
    app.wsgi_app = LingeringClose(app.wsgi_app, trusted)  # type: ignore[method-assign]
    return app


def resident_bytes() -> int:
    """How much memory this process has in use (Linux)."""
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def wsgi() -> Flask:
    """For a server: settings from the environment."""
    return create_app({k: v for k, v in os.environ.items() if k.startswith(("BFF_", "APP_"))})


if os.environ.get("BFF_API_URL") or os.environ.get("BFF_ROUTES_FILE"):
    app = wsgi()
