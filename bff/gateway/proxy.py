"""How does a request on a route reach its upstream, and the response the browser?

What happens to a request, in order, and the file of each step:

1. `ProxyEndpoint` looks up the path in the table of routes (`route_table`). A request on no route
   goes on to the rest of the application.
2. `RouteForwarder.forward` refuses a request that this application has forwarded before
   (`loop_detection`), a method or path that isn't allowed (`request_target`), a protocol upgrade
   (`request_headers`), what a page would run as code (`code_requests`), and a body that is too
   large or ambiguous (`request_body`).
3. `route_access` refuses other sites and requests without a session, and returns the access token
   for the upstream. Below it are `bff.access` (cookie, cross-site guard) and `bff.tokens`.
4. `request_headers` writes the header lines: those of the client that may pass, and our own. The
   proof that belongs to a bound token is made for each attempt to send it (`api_proofs`).
5. `upstream` sends the request to one of the route's addresses (`upstream_pool`, `curl_connection`)
   and waits for the head of the response. `upstream_requests` bounds how many wait.
6. `step_up_challenge` turns an upstream's demand for a stronger sign-in into an error of ours.
7. `open_responses` notes a response that isn't complete yet: it ends with its session.
8. `response_headers` (with `response_cookies`) decides which headers reach the browser. The body
   passes as it comes (`upstream.Exchange`).

Only steps 3, 5 and 7 have anything to do with the network.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from flask import Flask, Response, request
from werkzeug.routing import Rule

from bff.config import Config
from bff.config.route import Route
from bff.core.dpop import BoundToken
from bff.core.errors import BFFError, PathRefused
from bff.core.operations import observers
from bff.core.work_slots import Waiting
from bff.gateway import granian
from bff.gateway.api_proofs import APIProofs, Request
from bff.gateway.client_address import ClientAddresses, disconnect_check
from bff.gateway.code_requests import disarm_code, refuse_code
from bff.gateway.lingering_close import FORWARDED_BODY
from bff.gateway.loop_detection import Via
from bff.gateway.open_responses import OpenResponses
from bff.gateway.request_body import request_body
from bff.gateway.request_headers import RequestHeaders, check_protocol
from bff.gateway.request_target import upstream_target
from bff.gateway.response_headers import make_response
from bff.gateway.response_log import note_broken_off, upstream_wait
from bff.gateway.route_access import RouteAccess
from bff.gateway.route_table import PROXY_ENDPOINT, RouteTable
from bff.gateway.step_up_challenge import refuse_weak_sign_in
from bff.gateway.unrouted import FlaskWithUnroutedRequests
from bff.gateway.upstream import CLIENT_CLOSED_REQUEST, ClientDisconnected, Exchange, Upstream
from bff.gateway.upstream_requests import ANYBODY, Place, UpstreamRequests

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


class ProxyEndpoint:
    """A WSGI layer: forwards requests on routes, and leaves all others to the application.

    The path is looked up as it came. Werkzeug would redirect `/api//x` to `/api/x`; here an
    ambiguous path is refused, never repaired.

    Args:
        app: Provides the request context, the error handlers and the `after_request` functions.
        proxy: Knows the routes; `register_proxy_errors` has been called with it.
    """

    def __init__(self, app: FlaskWithUnroutedRequests, proxy: Proxy) -> None:
        self._app = app
        self._next = app.wsgi_app
        self._proxy = proxy
        self._rules = {rule.rule: rule for rule in app.url_map.iter_rules(PROXY_ENDPOINT)}

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request (PEP 3333)."""
        try:
            forwarder = self._proxy.forwarder(environ["PATH_INFO"])
        except PathRefused:
            forwarder = None  # `Proxy.check` raises it again, where an error handler renders it.
        if forwarder is None:
            return self._next(environ, start_response)
        app = self._app
        with app.unrouted_context(environ, self._rules[forwarder.route.prefix]) as context:
            context.url_adapter = app.unrouted_adapter
            forwarded = self._forwarded(forwarder, environ)
            try:
                response = app.process_response(forwarded)
            except Exception as error:
                forwarded.close()  # Whoever logs the error may keep the frames that refer to it.
                response = app.process_response(app.error_response(error))
            return response(environ, start_response)

    def _forwarded(self, forwarder: RouteForwarder, environ: WSGIEnvironment) -> Response:
        try:
            return forwarder.forward(environ)
        except Exception as error:
            return self._app.error_response(error)


class Proxy:
    """Finds the forwarder of a path.

    Args:
        config: Our own origin, and the trusted proxies in front.
        routes: What is forwarded.
        access: Decides about each request, and has the access tokens.
        open_responses: Breaks off responses whose session has ended.
    """

    def __init__(
        self,
        config: Config,
        routes: RouteTable,
        access: RouteAccess,
        open_responses: OpenResponses,
    ) -> None:
        clients = ClientAddresses(config.trusted_proxies)
        self._routes = routes
        self._via = Via(config.app_base_url)
        requests = UpstreamRequests(config.upstream_requests_max, len(config.routes))
        limits = requests, open_responses
        self.forwarders = {
            route.prefix: RouteForwarder(route, config, clients, access, limits) for route in routes
        }
        """By the prefix of the route."""

    def forwarder(self, path: str) -> RouteForwarder | None:
        """The forwarder for the decoded *path*; None if it is on no route.

        Raises:
            PathRefused: An upstream could take it for a path of another route.
        """
        route = self._routes.find(path)
        return self.forwarders[route.prefix] if route is not None else None

    def close_idle_connections(self) -> int:
        """Close connections to upstreams that wait in vain; returns how many."""
        return sum(forwarder.close_idle() for forwarder in self.forwarders.values())

    def check(self) -> None:
        """Check a request that isn't forwarded.

        Raises:
            LoopDetected: This application has forwarded it before, to whatever path.
            PathRefused: An upstream could take its path for one of another route.
        """
        self._via.check(request.environ)
        self.forwarder(request.environ["PATH_INFO"])


class RouteForwarder:
    """Forwards the requests on one route.

    Args:
        route: Which upstream, and what may be asked of it.
        config: Our own origin.
        clients: Determines the client's address.
        access: Decides about each request, and has the access tokens.
        limits: How many requests may wait for upstreams, and how many responses may be open.
    """

    __slots__ = (
        "_access", "_app_base_url", "_clients", "_headers", "_open_responses", "_others",
        "_proofs", "_requests", "_upstream", "_via", "route",
    )  # fmt: skip

    def __init__(
        self,
        route: Route,
        config: Config,
        clients: ClientAddresses,
        access: RouteAccess,
        limits: tuple[UpstreamRequests, OpenResponses],
    ) -> None:
        self.route = route
        self._proofs = APIProofs(route, config)
        self._others = [one for one in config.routes if one is not route]
        self._app_base_url = config.app_base_url
        self._access = access
        self._requests, self._open_responses = limits
        self._clients = clients
        self._upstream = Upstream(route)
        self._via = Via(config.app_base_url)
        self._headers = RequestHeaders(config.app_base_url, clients, route)

    def close_idle(self) -> int:
        """Close connections to the upstream that wait in vain; returns how many."""
        return self._upstream.close_idle()

    def forward(self, environ: WSGIEnvironment) -> Response:
        """Take the current request through steps 2 to 8 above.

        Args:
            environ: Of the current request.

        Raises:
            BFFError: It is refused, or there is no usable response.
        """
        route = self.route
        self._via.check(environ)
        target = upstream_target(environ, route, self._clients.original_target(environ))
        check_protocol(environ)
        refuse_code(environ, route)
        body = request_body(environ, route)
        if body is not None:
            environ[FORWARDED_BODY] = body
        # Before the access check: its audit lines carry the id that a trusted proxy gave.
        request_id = self._headers.request_id(environ)
        access_token = self._access.access_token(route)
        header_lines = self._headers.lines(environ, access_token, request_id)
        session_key, user = self._access.used_session()
        user = user or ANYBODY
        place = self._requests.enter(route.prefix, session_key, user)
        try:
            client_gone = disconnect_check(environ)
            sent = environ["REQUEST_METHOD"], target, header_lines, body, client_gone
            with Waiting(), upstream_wait(environ):
                exchange = self._send(sent, access_token)
            exchange.route_prefix, exchange.user = route.prefix, user
            self._begin(exchange, environ, session_key, place)
        except ClientDisconnected:
            place.leave()
            return Response(status=CLIENT_CLOSED_REQUEST)
        except BaseException:
            place.leave()
            raise
        return self._response(exchange, environ, target, request_id)

    def _send(self, sent: Request, access_token: str | None) -> Exchange:
        send = self._upstream.send_observed if observers else self._upstream.send
        if not isinstance(access_token, BoundToken):
            return send(*sent)
        return self._proofs.send(send, sent, access_token)

    def _response(
        self, exchange: Exchange, environ: dict[str, Any], target: str, request_id: str
    ) -> Response:
        route, types = self.route, exchange.head.joined("content-type")
        response = make_response(exchange, route, self._app_base_url, target, self._others)
        # As in `make_response`: it was checked, or is ours.
        response.headers._list.append(("x-request-id", request_id))  # noqa: SLF001
        disarm_code(environ, route, response.headers, types)
        return response

    def _begin(
        self, exchange: Exchange, environ: dict[str, Any], session_key: str | None, place: Place
    ) -> None:
        """Note a response that isn't complete, and leave the place among the waiting requests.

        Raises:
            BFFError: The response is refused, and closed.
        """
        if granian.serves(environ):
            exchange.on_break = partial(_break, environ)
        # The response to a write says what has been done, so it isn't refused, however many are
        # open: it keeps its place until it is complete.
        may_refuse = environ["REQUEST_METHOD"] in self.route.repeatable_methods
        if not may_refuse:
            exchange.on_close = place.leave
        try:
            refuse_weak_sign_in(exchange.head, self.route)
            if exchange.open:
                self._open_responses.add(session_key, exchange, may_refuse)
        except BFFError:
            exchange.close()
            raise
        if may_refuse or not exchange.open:
            place.leave()


def _break(environ: WSGIEnvironment) -> None:
    note_broken_off(environ)
    granian.break_connection(environ)


def register_proxy_errors(app: Flask, proxy: Proxy) -> None:
    """Refuse, in the rest of *app*, requests that only look as if they weren't on a route.

    `Proxy.check` sees every request that isn't forwarded. And the paths of the routes become rules
    of the router, so that it matches no other view with a path that it reads as one of them. These
    rules also give forwarded requests their endpoint, `proxy.forward`.
    """

    def refuse(**_: str) -> NoReturn:
        # A path on a route was forwarded before; `//api/x` is one to the router only.
        raise PathRefused("the router's reading of the path and ours disagree")

    app.before_request(proxy.check)
    app.view_functions[PROXY_ENDPOINT] = refuse
    for prefix in proxy.forwarders:
        for path in (prefix, f"{prefix}/", f"{prefix}/<path:_>"):
            app.url_map.add(
                Rule(path, endpoint=PROXY_ENDPOINT, strict_slashes=False, merge_slashes=False)
            )
