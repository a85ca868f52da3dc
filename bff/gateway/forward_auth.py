"""May a proxy in front forward this request itself, and with which access token?

`GET /auth/verify` is for nginx's `auth_request`, Traefik's ForwardAuth and Caddy's `forward_auth`.
The proxy describes the request that it received, and forwards it itself if the response is 204. The
original method and target pass the same checks as in our own proxy. The access token is in the
response, for the upstream only. So the caller must be a trusted proxy *and* know a key: a client
that came through that same proxy doesn't know it.

This check precedes every request that the proxy forwards. So a 204 goes through neither Flask's
router nor its response object, which would double its cost (docs/architecture/request.md).
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from flask import Blueprint, Response, request

from bff.config import Config
from bff.config.route import Route
from bff.core import audit
from bff.core.dpop import BoundToken
from bff.core.errors import (
    BFFError,
    CarriedHere,
    CrossSite,
    NotFound,
    ProxyUnknown,
    RequestRefused,
    RouteUnknown,
    UpgradeRefused,
)
from bff.gateway.api_proofs import APIProofs
from bff.gateway.client_address import ClientAddresses
from bff.gateway.code_requests import refuse_code
from bff.gateway.own_paths import is_exact
from bff.gateway.request_ids import HEADER as REQUEST_ID_HEADER
from bff.gateway.request_ids import RequestIDs
from bff.gateway.request_target import check_method, target_on_route
from bff.gateway.route_access import RouteAccess
from bff.gateway.route_table import RouteTable
from bff.gateway.unrouted import FlaskWithUnroutedRequests

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

PATH = "/auth/verify"
CODE_HEADER = "X-BFF-Code"
TARGET_HEADER = "X-BFF-Target"
PEERS_MAX = 1_024
METHOD_KEYS = ("HTTP_X_ORIGINAL_METHOD", "HTTP_X_FORWARDED_METHOD")
TARGET_KEYS = ("HTTP_X_ORIGINAL_URI", "HTTP_X_FORWARDED_URI")

Decision = tuple[list[tuple[str, str]], str]
"""The fields with the access token for the upstream, if it gets one, and its request target."""


def create_blueprint() -> Blueprint:
    """The rule of `GET /auth/verify`: a 404, unless a `ForwardAuthEndpoint` comes before it."""
    blueprint = Blueprint("forward_auth", __name__)

    @blueprint.get(PATH)
    def verify() -> Response:
        raise NotFound("BFF_FORWARD_AUTH_KEY is not set")

    return blueprint


class ForwardAuthEndpoint:
    """A WSGI layer: serves `GET /auth/verify`, and leaves everything else to the application.

    Args:
        app: Provides the request context and the error handlers; has the blueprint above.
        forward_auth: Decides.
        request_ids: Of the proxy in front, if it gives them.
    """

    def __init__(
        self, app: FlaskWithUnroutedRequests, forward_auth: ForwardAuth, request_ids: RequestIDs
    ) -> None:
        self._app = app
        self._next = app.wsgi_app
        self._forward_auth = forward_auth
        self._request_ids = request_ids
        self._rule = next(app.url_map.iter_rules("forward_auth.verify"))

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request (PEP 3333)."""
        asked = environ["PATH_INFO"] == PATH and environ["REQUEST_METHOD"] == "GET"
        if not asked or not is_exact(environ):
            return self._next(environ, start_response)
        with self._app.unrouted_context(environ, self._rule) as context:
            context.url_adapter = self._app.unrouted_adapter
            request_id = self._request_ids.of(environ)
            try:
                fields, target = self._forward_auth.decide(environ)
            except Exception as error:
                return self._refusal(error)(environ, start_response)
        headers = [
            (TARGET_HEADER, target),
            ("Cache-Control", "no-store"),
            (REQUEST_ID_HEADER, request_id),
            *fields,
        ]
        start_response("204 No Content", headers)
        return ()

    def _refusal(self, error: Exception) -> Response:
        """The error response of our own proxy, with a status that proxies in front understand.

        nginx understands 401 and 403, and treats every other status as an outage. So 401 stays, and
        every other refusal becomes 403. An outage of ours keeps its 5xx and its `Retry-After`.
        """
        response = self._app.error_response(error)
        code = error.code if isinstance(error, BFFError) else BFFError.code
        if isinstance(error, UpgradeRefused) or response.status_code not in (401, *range(500, 600)):
            response.status_code = 403
        response.headers[CODE_HEADER] = code
        return self._app.process_response(response)


class ForwardAuth:
    """Decides about requests that a proxy in front has received.

    Args:
        config: The trusted proxies, the key that a proxy must know, our origin.
        routes: What may be forwarded.
        access: Decides about each request, and has the access tokens.
    """

    def __init__(self, config: Config, routes: RouteTable, access: RouteAccess) -> None:
        clients = ClientAddresses(config.trusted_proxies)
        self._key = config.key_reader("forward_auth_key")
        self._origin = config.app_base_url
        self._routes = routes
        self._access = access
        self._proofs = {route.prefix: APIProofs(route, config) for route in routes}
        self._is_trusted = lru_cache(PEERS_MAX)(
            lambda address: clients.from_trusted_proxy({"REMOTE_ADDR": address})
        )

    def decide(self, environ: WSGIEnvironment) -> Decision:
        """The upstream's access token and target for the request that *environ* describes.

        Raises:
            ProxyUnknown: The caller is no trusted proxy, or doesn't know the key.
            RequestRefused: The original method or target is missing or ambiguous.
            CarriedHere: Only our own proxy may forward requests on this route.
            BFFError: As in our own proxy.
        """
        self._authenticate(environ)
        method = _original(environ, *METHOD_KEYS)
        target = _original(environ, *TARGET_KEYS)
        path, _, query = target.partition("?")
        decoded = unquote_to_bytes(path).decode("latin-1") if "%" in path else path
        route = self._route(decoded, environ["QUERY_STRING"])
        check_method(method, route)
        upstreams_target = target_on_route(path, query, route)
        # The session guard must see the client's method, not that of this GET.
        request.method = method
        self._check_websocket(environ, method, route)
        refuse_code(environ, route)
        token = self._access.access_token(route)
        return self._fields(token, route, method, upstreams_target), upstreams_target

    def _fields(
        self, token: str | None, route: Route, method: str, target: str
    ) -> list[tuple[str, str]]:
        """The proxy can't ask again for a nonce, so one proof must do (RFC 9449, 7.1)."""
        if token is None:
            return []
        if not isinstance(token, BoundToken):
            return [("Authorization", f"Bearer {token}")]
        proof = self._proofs[route.prefix].proof(token, method, target, route.origins[0])
        return [("Authorization", f"DPoP {token}"), ("DPoP", proof)]

    def _authenticate(self, environ: WSGIEnvironment) -> None:
        given = environ.get("HTTP_X_FORWARD_AUTH_KEY", "").encode("latin-1")
        if not self._is_trusted(environ.get("REMOTE_ADDR", "")):
            reason = "forward_auth: not from BFF_TRUSTED_PROXIES"
        elif not hmac.compare_digest(given, self._key().encode()):
            reason = "forward_auth: not the key"
        else:
            return
        audit.record("request_refused", "refused", reason=reason)
        raise ProxyUnknown(reason)

    def _route(self, path: str, query: str) -> Route:
        """The route of *path*; it must be the one that the proxy names in the *query*.

        Otherwise the token of one route could go to the upstream of another, where the proxy's
        table of paths and ours differ.
        """
        route = self._routes.find(path)
        if route is None:
            raise RouteUnknown("no route")
        if query != f"route={route.prefix}":
            raise CarriedHere("the proxy in front takes it for another route")
        if not route.forward_auth:
            raise CarriedHere("forward_auth = false")
        if route.request_headers is not None or route.request_cookies or route.answer_cookies:
            raise CarriedHere("fields and cookies of its own")
        return route

    def _check_websocket(self, environ: WSGIEnvironment, method: str, route: Route) -> None:
        """A WebSocket needs a route that allows it, and must be opened by a page of ours.

        No page can set `Sec-WebSocket-Key` or `Origin`, and browsers always send both. Browsers
        differ in the `Sec-Fetch-Site` of a WebSocket, so `Origin` replaces it. Source: RFC 6455,
        sections 4.1 and 10.2.
        """
        upgrade = environ.get("HTTP_UPGRADE", "").lower()
        if "HTTP_SEC_WEBSOCKET_KEY" not in environ and "websocket" not in upgrade:
            return
        if not route.websocket:
            raise UpgradeRefused("websocket = false")
        if method != "GET":
            raise RequestRefused("a WebSocket begins with GET")
        if environ.get("HTTP_ORIGIN") != self._origin:
            audit.record("request_refused", "refused", reason="cross_site: WebSocket's Origin")
            raise CrossSite("the WebSocket's Origin is not ours")
        environ["HTTP_SEC_FETCH_SITE"] = "same-origin"


def _original(environ: dict[str, Any], nginx_key: str, others_key: str) -> str:
    """The client's method or target, from nginx (`X-Original-…`) or Traefik and Caddy.

    A proxy that writes one of the two headers passes the other on as the client wrote it. So two
    values that differ are refused.
    """
    one: str = environ.get(nginx_key, "")
    other: str = environ.get(others_key, "")
    if one and other and one != other:
        raise RequestRefused(f"{nginx_key} and {others_key} differ")
    if not one and not other:
        raise RequestRefused(f"neither {nginx_key} nor {others_key}")
    return one or other
