"""How does a test get an API that takes tokens that are bound to a key, and call it?"""

from __future__ import annotations

from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.test import TestResponse

from bff.resource_server import TokenGuard
from bff.resource_server.schemes import DPoPMode
from tests.support.issuer import AUDIENCE, ISSUER, Issuer

BASE = "https://api.test"


def guard_of(options: dict[str, Any], dpop: DPoPMode = "allowed", **changes: Any) -> TokenGuard:
    """A guard with a deny-list."""
    return TokenGuard(keys=Issuer().keys(), dpop=dpop, **({"base_url": BASE} | options | changes))


def unlisted(dpop: DPoPMode = "allowed", base_url: str = BASE) -> TokenGuard:
    """A guard that needs no Redis."""
    return TokenGuard.without_deny_list(
        issuer=ISSUER, audience=AUDIENCE, keys=Issuer().keys(), dpop=dpop, base_url=base_url
    )


def client_of(guard: TokenGuard, **proxy: int) -> FlaskClient:
    """A Flask API with it, perhaps behind proxies."""
    app = Flask(__name__)

    @app.route("/items", methods=["GET", "POST"])
    @app.route("/items/<path:name>")
    @guard.required(scope="read:items")
    def items(name: str = "") -> dict[str, Any]:
        return {"of": guard.claims["sub"], "name": name}

    if proxy:
        app.wsgi_app = ProxyFix(app.wsgi_app, **proxy)  # type: ignore[method-assign]
    return app.test_client()


def sent(access_token: str, *fields: str, scheme: str = "DPoP") -> list[tuple[str, str]]:
    """The headers of a request."""
    return [("Authorization", f"{scheme} {access_token}"), *(("DPoP", one) for one in fields)]


def code(response: TestResponse) -> tuple[int, str]:
    """The status, and the code of a refusal."""
    return response.status_code, response.get_json().get("code", "accepted")
