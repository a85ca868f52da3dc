"""Which access token does a view of the application's own get, to call an API by itself?"""

from __future__ import annotations

from collections.abc import Iterable

from flask import current_app

from bff.access.own_routes import own_guard
from bff.config.route import Route
from bff.gateway.route_access import RouteAccess

EXTENSION = "bff_own_access_tokens"


class OwnAccessTokens:
    """The access tokens of the proxy's routes.

    Args:
        access: Decides as for a request on the route.
        routes: All of them.
    """

    def __init__(self, access: RouteAccess, routes: Iterable[Route]) -> None:
        self._access = access
        self._routes = {route.prefix: route for route in routes}

    def access_token(self, prefix: str) -> str | None:
        """The access token for the route with this *prefix*, as `access_token`."""
        if prefix not in self._routes:
            known = ", ".join(sorted(self._routes))
            raise LookupError(f"no route has the prefix {prefix!r}; there are: {known}")
        return self._access.access_token(self._routes[prefix])


def access_token(route: str) -> str | None:
    """An access token for the API behind a route of the proxy, renewed if need be.

    It is decided as for a request on that route. The token is for this request only: keep it
    nowhere, and don't send it to the browser. With `BFF_DPOP` it may be bound to a key that the
    view doesn't have; a route with `dpop = "never"` has one that isn't.

    Args:
        route: The prefix of the route, such as `/api`.

    Returns:
        The token; None if the route has the token mode `none`, or `optional` and nobody is signed
        in.

    Raises:
        LookupError: There is no such route.
        RuntimeError: This is no request of `create_app`'s application, or it is on a machine route.
        BFFError: As for a request on the route: nobody is signed in, the route demands a stronger
            sign-in, the provider is away.
    """
    own_guard()
    tokens: OwnAccessTokens = current_app.extensions[EXTENSION]
    return tokens.access_token(route)
