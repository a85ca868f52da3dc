"""How does a request on a route reach the upstream, and its answer the browser?

In this order: the target is checked (`target`), the framing and the protocol (`body`, `fields`),
then `bearer()` says who asks, then the request goes out (`upstream`, over a `channel`) and the
answer comes back (`answer`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from flask import Blueprint, Response, g, request
from flask.blueprints import BlueprintSetupState
from werkzeug.routing import Rule

from bff.config import Config
from bff.errors import BFFError, PathRefused
from bff.proxy import granian
from bff.proxy.answer import answer
from bff.proxy.body import request_body
from bff.proxy.challenge import refuse_weak_sign_in
from bff.proxy.client import Clients, gone_check
from bff.proxy.fields import RequestFields, check_protocol
from bff.proxy.target import upstream_target
from bff.proxy.upstream import ClientLeft, Exchange, Upstream
from bff.proxy.via import Via
from bff.route import Route
from bff.route_table import RouteTable

CLIENT_CLOSED_REQUEST = 499
"""For the log; nobody is there to read it."""


def create_blueprint(
    config: Config,
    bearer: Callable[[Route], str | None],
    follow: Callable[[Exchange, bool], None] | None = None,
) -> Blueprint:
    """Make the blueprint that answers every method on the routes' prefixes and below.

    Args:
        config: Has the routes.
        bearer: Called once for each request that is fit to be forwarded; refuses who may not use
            the route, and returns the access token that its upstream gets, if any.
        follow: Told of every answer that isn't whole yet, and whether it may be refused (not after
            a write, which has been done by then); may break it off later.
    """
    proxy = Proxy(config, bearer, follow)
    blueprint = Blueprint("proxy", __name__)
    blueprint.record(proxy.register)
    blueprint.before_app_request(proxy.before_request)
    return blueprint


class Line:
    """What one route needs at a request.

    Args:
        route: Says where it goes.
        config: Says where browsers find us.
        clients: Tells the client's address.
    """

    __slots__ = ("fields", "route", "upstream")

    def __init__(self, route: Route, config: Config, clients: Clients) -> None:
        self.route = route
        self.upstream = Upstream(route)
        self.fields = RequestFields(config.app_base_url, clients, route)


class Proxy:
    """Forwards what belongs to a route."""

    def __init__(
        self,
        config: Config,
        bearer: Callable[[Route], str | None],
        follow: Callable[[Exchange, bool], None] | None,
    ) -> None:
        self._table = RouteTable(config.routes)
        clients = Clients(config.trusted_proxies)
        self._lines = {route.prefix: Line(route, config, clients) for route in self._table}
        self._bearer = bearer
        self._follow = follow
        self._app_base_url = config.app_base_url
        self._via = Via(config.app_base_url)

    def register(self, state: BlueprintSetupState) -> None:
        """Tell Flask's router about the paths, so that it finds them without an exception."""
        for prefix in self._lines:
            for rule in (prefix, f"{prefix}/", f"{prefix}/<path:_>"):
                state.app.url_map.add(
                    Rule(rule, endpoint="proxy.forward", strict_slashes=False, merge_slashes=False)
                )
        state.app.view_functions["proxy.forward"] = self.refuse

    def refuse(self, **_: str) -> Response:
        """What belongs to a route was answered before; this only the router takes for one's.

        Raises:
            PathRefused: Always; `//api/x` is such a path.
        """
        raise PathRefused("the router's reading of the path and ours disagree")

    def before_request(self) -> Response | None:
        """Answer what belongs to a route, whatever the router made of it.

        Werkzeug would redirect `/api//x` to `/api/x`; a path is refused here, not repaired.

        Raises:
            LoopDetected: We have sent it ourselves, to whatever path.
        """
        environ = request.environ
        if "HTTP_VIA" in environ:
            self._via.check(environ)
        route = self._table.find(environ["PATH_INFO"])
        return self.forward(self._lines[route.prefix]) if route is not None else None

    def forward(self, line: Line) -> Response:
        """Check, ask for the token, forward, answer."""
        environ, route = request.environ, line.route
        target = upstream_target(environ, route)
        check_protocol(environ)
        body = request_body(environ, route)
        # Before `bearer`, which may write audit lines: they carry the id that a trusted proxy gave.
        request_id = _request_id(line)
        lines = line.fields.lines(environ, self._bearer(route), request_id)
        method = environ["REQUEST_METHOD"]
        try:
            exchange = line.upstream.ask(method, target, lines, body, gone_check(environ))
        except ClientLeft:
            return Response(status=CLIENT_CLOSED_REQUEST)
        if granian.serves(environ):
            exchange.on_break = partial(granian.hang_up, environ)
        try:
            refuse_weak_sign_in(exchange.head, route)
            if exchange.open and self._follow is not None:
                self._follow(exchange, method in route.repeatable_methods)
        except BFFError:
            exchange.close()
            raise
        return answer(exchange.head, exchange, route, self._app_base_url, target)


def _request_id(line: Line) -> str:
    request_id: str | None = g.get("request_id")
    if request_id is None:
        request_id = g.request_id = line.fields.request_id(request.environ)
    return request_id
