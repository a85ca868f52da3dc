"""How does a request on a route reach the upstream, and its answer the browser?

In this order: the target is checked (`target`), the framing and the protocol (`body`, `fields`),
then `bearer()` says who asks, then the request goes out (`upstream`, over a `channel`) and the
answer comes back (`make_response`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, NoReturn

from flask import Flask, Response, g, request
from werkzeug.routing import Rule

from bff.config import Config
from bff.config.route import Route
from bff.core.errors import BFFError, PathRefused
from bff.gateway import granian
from bff.gateway.client_address import ClientAddresses, gone_check
from bff.gateway.loop_detection import Via
from bff.gateway.request_body import request_body
from bff.gateway.request_headers import RequestHeaders, check_protocol
from bff.gateway.request_target import upstream_target
from bff.gateway.response_headers import make_response
from bff.gateway.route_table import RouteTable
from bff.gateway.step_up_challenge import refuse_weak_sign_in
from bff.gateway.unrouted import FlaskWithUnroutedRequests
from bff.gateway.upstream import ClientLeft, Exchange, Upstream

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

ENDPOINT = "proxy.forward"
CLIENT_CLOSED_REQUEST = 499
"""For the log; nobody is there to read it."""


def install(
    app: FlaskWithUnroutedRequests,
    config: Config,
    bearer: Callable[[Route], str | None],
    follow: Callable[[Exchange, bool], None] | None = None,
) -> None:
    """Make *app* answer every method on the routes' prefixes and below.

    Args:
        app: Whose WSGI application is wrapped.
        config: Has the routes.
        bearer: Called once for each request that is fit to be forwarded; refuses who may not use
            the route, and returns the access token that its upstream gets, if any.
        follow: Told of every answer that isn't whole yet, and whether it may be refused (not after
            a write, which has been done by then); may break it off later.
    """
    proxy = Proxy(config, bearer, follow)
    app.before_request(proxy.check)
    _claim(app, proxy.lines)
    app.wsgi_app = Forwarding(app, proxy)  # type: ignore[method-assign]


def _claim(app: Flask, prefixes: Iterable[str]) -> None:
    """Make rules of the router's, so that it takes for nothing else what it reads as such a path.

    They name the requests, too.
    """

    def refuse(**_: str) -> NoReturn:
        # What belongs to a route was answered before; `//api/x` does to the router only.
        raise PathRefused("the router's reading of the path and ours disagree")

    app.view_functions[ENDPOINT] = refuse
    for prefix in prefixes:
        for rule in (prefix, f"{prefix}/", f"{prefix}/<path:_>"):
            app.url_map.add(
                Rule(rule, endpoint=ENDPOINT, strict_slashes=False, merge_slashes=False)
            )


class Forwarding:
    """Answers what belongs to a route, and leaves everything else to the application.

    The path is looked up as it came: Werkzeug would redirect `/api//x` to `/api/x`, and a path is
    refused here, not repaired.

    Args:
        app: Gives the request context, the answers to errors and the last touch to every answer.
        proxy: Knows the routes.
    """

    def __init__(self, app: FlaskWithUnroutedRequests, proxy: Proxy) -> None:
        self._app = app
        self._next = app.wsgi_app
        self._proxy = proxy
        self._rules = {rule.rule: rule for rule in app.url_map.iter_rules(ENDPOINT)}

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request (PEP 3333)."""
        try:
            line = self._proxy.line(environ["PATH_INFO"])
        except PathRefused:
            line = None  # `Proxy.check` raises it again, where it is answered.
        if line is None:
            return self._next(environ, start_response)
        app = self._app
        with app.unrouted_context(environ, self._rules[line.route.prefix]):
            try:
                response = app.process_response(self._answer(line))
            except Exception as error:
                response = app.process_response(app.answer_to(error))
            return response(environ, start_response)

    def _answer(self, line: RouteForwarder) -> Response:
        try:
            return self._proxy.forward(line)
        except Exception as error:
            return self._app.answer_to(error)


class RouteForwarder:
    """What one route needs at a request.

    Args:
        route: Says where it goes.
        config: Says where browsers find us.
        clients: Tells the client's address.
    """

    __slots__ = ("fields", "route", "upstream")

    def __init__(self, route: Route, config: Config, clients: ClientAddresses) -> None:
        self.route = route
        self.upstream = Upstream(route)
        self.fields = RequestHeaders(config.app_base_url, clients, route)


class Proxy:
    """Forwards what belongs to a route."""

    def __init__(
        self,
        config: Config,
        bearer: Callable[[Route], str | None],
        follow: Callable[[Exchange, bool], None] | None,
    ) -> None:
        self._table = RouteTable(config.routes)
        clients = ClientAddresses(config.trusted_proxies)
        self.lines = {route.prefix: RouteForwarder(route, config, clients) for route in self._table}
        """By the prefix of the route."""
        self._bearer = bearer
        self._follow = follow
        self._app_base_url = config.app_base_url
        self._via = Via(config.app_base_url)

    def line(self, path: str) -> RouteForwarder | None:
        """What serves the decoded *path*; None if it belongs to no route.

        Raises:
            PathRefused: It is nearly a route's.
        """
        route = self._table.find(path)
        return self.lines[route.prefix] if route is not None else None

    def check(self) -> None:
        """Refuse what is for nobody: called for each request that isn't forwarded.

        Raises:
            LoopDetected: We have sent it ourselves, to whatever path.
            PathRefused: Its path is nearly a route's.
        """
        self._via.check(request.environ)
        self.line(request.environ["PATH_INFO"])

    def forward(self, line: RouteForwarder) -> Response:
        """Check, ask for the token, forward, answer."""
        environ, route = request.environ, line.route
        self._via.check(environ)
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
        return make_response(exchange.head, exchange, route, self._app_base_url, target)


def _request_id(line: RouteForwarder) -> str:
    request_id: str | None = g.get("request_id")
    if request_id is None:
        request_id = g.request_id = line.fields.request_id(request.environ)
    return request_id
