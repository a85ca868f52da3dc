"""How does a test get a BFF in front of several APIs, with a route for each token mode?

    with Gateway(replicas=3) as gateway:
        browser = gateway.browser()
        browser.log_in()
        browser.fetch("GET", "/api/orders/whoami")

Every API is a separate process that accepts tokens for itself only and checks the deny-list.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from demo.provider.settings import TOKEN_EXCHANGE
from tests.support.cluster import AUDIENCE, CLIENT_ID, CLIENT_SECRET, Cluster

ORDERS = "https://orders.example"
REPORTS = "https://reports.example"
STOCK = "https://stock.example"
EXCHANGE_CLIENT = "exchange-client"
EXCHANGE_SECRET = "exchange-client-secret-value"  # noqa: S105

ROUTES: tuple[dict[str, Any], ...] = (
    {"prefix": "/api", "to": AUDIENCE},
    {"prefix": "/api/orders", "to": ORDERS, "token": "audience", "audience": ORDERS,
     "scope": "read:orders write:orders"},
    {"prefix": "/api/reports", "to": REPORTS, "token": "exchange", "audience": REPORTS,
     "scope": "read:reports", "client_id": EXCHANGE_CLIENT,
     "client_secret_env": "EXCHANGE_SECRET"},
    {"prefix": "/api/stock", "to": STOCK, "token": "client", "audience": STOCK},
    {"prefix": "/api/both", "to": AUDIENCE, "path": "/open", "token": "optional"},
    {"prefix": "/api/open", "to": AUDIENCE, "path": "/open", "token": "none"},
)  # fmt: skip
"""One for each mode; `to` is the API, `path` the path of the upstream."""

POLICIES = {ORDERS: ["read:orders", "write:orders"], STOCK: ["read:stock"]}


class SeveralAPIs(Cluster):
    """A cluster with an API for each of `routes`, and a routes file."""

    routes: tuple[dict[str, Any], ...] = ROUTES

    def _start_api(self, audience: str = AUDIENCE) -> str:
        first = super()._start_api(audience)
        self.apis = {audience: first}
        for other in {route["to"] for route in self.routes} - {audience}:
            self.apis[other] = super()._start_api(other)
        return first

    def environment(self) -> dict[str, str]:
        """The environment of every replica."""
        common = super().environment()
        del common["BFF_API_URL"]
        return {
            "BFF_ROUTES_FILE": str(self._routes_file()),
            "EXCHANGE_SECRET": EXCHANGE_SECRET,
        } | common

    def _routes_file(self) -> Path:
        directory = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        file = directory / "routes.toml"
        file.write_text("\n".join(self._as_toml(route) for route in self.routes))
        return file

    def _as_toml(self, route: dict[str, Any]) -> str:
        said = {name: value for name, value in route.items() if name not in ("to", "path")}
        said["upstream"] = self.apis[route["to"]] + route.get("path", "")
        lines = [f"{name} = {json.dumps(value)}" for name, value in said.items()]
        return "\n".join(["[[route]]", *lines, ""])


class Gateway(SeveralAPIs):
    """Several APIs behind the demo provider.

    Args:
        replicas: How many BFF processes.
        provider: More settings of the demo provider.
        env: More environment variables of the BFF.
        routes: Its routes, as in `ROUTES`.
        policies: The APIs and scopes for which the BFF's client may get tokens.
        api_asks: Whether the APIs check the deny-list.
    """

    def __init__(
        self,
        replicas: int = 1,
        *,
        provider: Mapping[str, Any] | None = None,
        env: Mapping[str, str] | None = None,
        routes: tuple[dict[str, Any], ...] = ROUTES,
        policies: Mapping[str, list[str]] | None = None,
        api_asks: bool = True,
    ) -> None:
        super().__init__(replicas, env=env, api_asks=api_asks)
        self.routes = routes
        self._policies = POLICIES if policies is None else policies
        self._provider_settings = {"clients": self._clients()} | dict(provider or {})

    def __enter__(self) -> Gateway:
        super().__enter__()
        return self

    def _clients(self) -> list[dict[str, Any]]:
        return [
            {
                "client_id": CLIENT_ID,
                "client_secret": CLIENT_SECRET,
                "redirect_uris": [f"{self.base_url}/auth/callback"],
                "post_logout_redirect_uris": [f"{self.base_url}/auth/logged-out"],
                "backchannel_logout_uri": f"{self.base_url}/auth/backchannel-logout",
                "resource_policies": self._policies,
                "more_grant_types": ["client_credentials"],
            },
            {
                "client_id": EXCHANGE_CLIENT,
                "client_secret": EXCHANGE_SECRET,
                "resource_policies": {REPORTS: ["read:reports"]},
                "more_grant_types": [TOKEN_EXCHANGE],
            },
        ]
