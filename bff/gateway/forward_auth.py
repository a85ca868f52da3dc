"""May a proxy in front carry this request, and with which access token? `GET /auth/verify`.

For nginx's `auth_request`, Traefik's ForwardAuth and Caddy's `forward_auth`: the proxy asks about
the request that it was sent, and carries the bytes itself if the answer is 204. The same checks
decide as in our own proxy, on the original method and target. The access token is in the answer,
for the upstream only, so the caller has to be a trusted proxy *and* know a key: a client that got
here through that same proxy knows none.

Every request that the proxy carries asks first, so a good answer takes neither Flask's router nor
its response: they would cost as much again as the decision (docs/architecture.md).
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from flask import Blueprint, Response, g, request

from bff.config import Config
from bff.config.route import Route
from bff.core import audit
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
from bff.gateway.client_address import ClientAddresses
from bff.gateway.request_headers import REQUEST_ID
from bff.gateway.request_target import upstream_target
from bff.gateway.route_table import RouteTable
from bff.gateway.unrouted import FlaskWithUnroutedRequests

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

PATH = "/auth/verify"
CODE_FIELD = "X-BFF-Code"
TARGET_FIELD = "X-BFF-Target"
PEERS_MAX = 1_024

Decision = tuple[str | None, str]
"""The access token for the upstream, if it gets one, and the target to ask it for."""


def install(
    app: FlaskWithUnroutedRequests,
    config: Config,
    routes: RouteTable,
    access_token: Callable[[Route], str | None],
) -> None:
    """Make *app* answer `GET /auth/verify`; 404 unless there is a key.

    Args:
        app: Whose WSGI application is wrapped.
        config: The key, the trusted proxies, our origin.
        routes: What may be carried.
        access_token: Refuses who may not use a route, else gives its token.
    """
    blueprint = Blueprint("forward_auth", __name__)

    @blueprint.get(PATH)
    def verify() -> Response:
        raise NotFound("BFF_FORWARD_AUTH_KEY is not set")

    app.register_blueprint(blueprint)
    if config.forward_auth_key is not None:
        key = config.forward_auth_key.get_secret_value()
        judge = ForwardAuth(config, key, routes, access_token)
        app.wsgi_app = Answering(app, judge.decide)  # type: ignore[method-assign]


class Answering:
    """Answers `GET /auth/verify`, and leaves everything else to the application.

    Args:
        app: Gives the request context, and the answers to errors.
        decide: Raises for what is refused.
    """

    def __init__(
        self, app: FlaskWithUnroutedRequests, decide: Callable[[WSGIEnvironment], Decision]
    ) -> None:
        self._app = app
        self._next = app.wsgi_app
        self._decide = decide
        self._rule = next(app.url_map.iter_rules("forward_auth.verify"))

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request (PEP 3333)."""
        if environ["PATH_INFO"] != PATH or environ["REQUEST_METHOD"] != "GET":
            return self._next(environ, start_response)
        with self._app.unrouted_context(environ, self._rule):
            try:
                token, target = self._decide(environ)
            except Exception as error:
                return self._refusal(error)(environ, start_response)
        fields = [(TARGET_FIELD, target), ("Cache-Control", "no-store")]
        if token is not None:
            fields.append(("Authorization", f"Bearer {token}"))
        start_response("204 No Content", fields)
        return ()

    def _refusal(self, error: Exception) -> Response:
        """What our own proxy would answer, with a status that proxies in front understand.

        nginx knows 401 and 403 and takes anything else for an outage, so 401 stays what it is and
        every other refusal is a 403. An outage of ours keeps its 5xx and its `Retry-After`.
        """
        response = self._app.answer_to(error)
        code = error.code if isinstance(error, BFFError) else BFFError.code
        if isinstance(error, UpgradeRefused) or response.status_code not in (401, *range(500, 600)):
            response.status_code = 403
        response.headers[CODE_FIELD] = code
        return self._app.process_response(response)


class ForwardAuth:
    """Decides about requests that a proxy in front was sent.

    Args:
        config: The trusted proxies, our origin.
        key: What a proxy has to know.
        routes: What may be carried.
        access_token: Refuses who may not use a route, else gives its token.
    """

    def __init__(
        self,
        config: Config,
        key: str,
        routes: RouteTable,
        access_token: Callable[[Route], str | None],
    ) -> None:
        clients = ClientAddresses(config.trusted_proxies)
        self._key = key.encode()
        self._origin = config.app_base_url
        self._routes = routes
        self._access_token = access_token
        self._trusted = lru_cache(PEERS_MAX)(
            lambda address: clients.from_trusted_proxy({"REMOTE_ADDR": address})
        )

    def decide(self, environ: WSGIEnvironment) -> Decision:
        """The upstream's access token and target for the request that *environ* tells of.

        Raises:
            ProxyUnknown: The caller is no trusted proxy, or doesn't know the key.
            RequestRefused: The original method or target is missing, or told in two ways.
            CarriedHere: Only we can carry the route.
            BFFError: As our own proxy would raise.
        """
        self._admit(environ)
        request_id = environ.get("HTTP_X_REQUEST_ID", "")
        if REQUEST_ID.fullmatch(request_id):
            g.request_id = request_id
        method = _original(environ, "METHOD")
        target = _original(environ, "URI")
        path, _, query = target.partition("?")
        decoded = unquote_to_bytes(path).decode("latin-1") if "%" in path else path
        route = self._route(decoded, environ["QUERY_STRING"])
        told = {"REQUEST_METHOD": method, "PATH_INFO": decoded, "RAW_URI": target}
        onward = upstream_target(told | {"QUERY_STRING": query}, route)
        # The guard asks what the client did, not how the proxy asks us.
        request.method = method
        self._check_websocket(environ, method, route)
        return self._access_token(route), onward

    def _admit(self, environ: WSGIEnvironment) -> None:
        given = environ.get("HTTP_X_FORWARD_AUTH_KEY", "").encode("latin-1")
        if not self._trusted(environ.get("REMOTE_ADDR", "")):
            reason = "forward_auth: not from BFF_TRUSTED_PROXIES"
        elif not hmac.compare_digest(given, self._key):
            reason = "forward_auth: not the key"
        else:
            return
        audit.record("request_refused", "refused", reason=reason)
        raise ProxyUnknown(reason)

    def _route(self, path: str, asked: str) -> Route:
        """The route of *path*, which has to be the one that the proxy says it carries.

        Else the token of one route could go to the upstream of another, where the proxy's table of
        paths and ours differ.
        """
        route = self._routes.find(path)
        if route is None:
            raise RouteUnknown("no route")
        if asked != f"route={route.prefix}":
            raise CarriedHere("the proxy in front takes it for another route")
        if not route.forward_auth:
            raise CarriedHere("forward_auth = false")
        if route.request_headers is not None or route.request_cookies or route.answer_cookies:
            raise CarriedHere("fields and cookies of its own")
        return route

    def _check_websocket(self, environ: WSGIEnvironment, method: str, route: Route) -> None:
        """A WebSocket needs a route that allows it, and a page of ours that opens it.

        Browsers let no page set `Sec-WebSocket-Key` or `Origin`, and always send both. What they
        say in `Sec-Fetch-Site` of a WebSocket differs, so `Origin` stands in for it. Source:
        RFC 6455, sections 4.1 and 10.2.
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


def _original(environ: dict[str, Any], name: str) -> str:
    """What the client sent, as nginx (`X-Original-…`) or Traefik and Caddy tell it.

    A proxy that writes one pair passes on the other as a client wrote it, so two that differ are
    refused.
    """
    found: set[str] = {
        value
        for key in (f"HTTP_X_ORIGINAL_{name}", f"HTTP_X_FORWARDED_{name}")
        if (value := environ.get(key))
    }
    if len(found) != 1:
        raise RequestRefused(f"{len(found)} original {name.lower()}s")
    return found.pop()
