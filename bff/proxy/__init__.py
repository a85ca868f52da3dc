"""How does a request under `/api` reach the upstream, and its answer the browser?

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
from bff.errors import BFFError
from bff.proxy import granian
from bff.proxy.answer import answer
from bff.proxy.body import request_body
from bff.proxy.client import Clients, gone_check
from bff.proxy.fields import RequestFields, check_protocol
from bff.proxy.target import belongs_to, upstream_target
from bff.proxy.upstream import ClientLeft, Exchange, Upstream
from bff.route import Route

PREFIX = "/api"
CONNECT_TIMEOUT_SECONDS = 5.0
CLIENT_CLOSED_REQUEST = 499
"""For the log; nobody is there to read it."""


def create_blueprint(
    config: Config,
    bearer: Callable[[Route], str | None],
    follow: Callable[[Exchange, bool], None] | None = None,
) -> Blueprint:
    """Make the blueprint that answers every method on `/api` and below.

    Args:
        config: Where the upstream is, and the limits.
        bearer: Called once for each request that is fit to be forwarded; refuses who may not use
            the route, and returns the access token that its upstream gets, if any.
        follow: Told of every answer that isn't whole yet, and whether it may be refused (not after
            a write, which has been done by then); may break it off later.
    """
    proxy = Proxy(route_from(config), config, bearer, follow)
    blueprint = Blueprint("proxy", __name__)
    blueprint.record(proxy.register)
    blueprint.before_app_request(proxy.before_request)
    return blueprint


def route_from(config: Config) -> Route:
    """The one route that the environment's settings describe."""
    timeout = config.upstream_timeout_seconds
    return Route(
        prefix=PREFIX,
        upstream_url=config.api_url,
        connect_timeout_seconds=min(CONNECT_TIMEOUT_SECONDS, timeout / 2),
        answer_timeout_seconds=timeout,
        request_max_bytes=config.request_max_bytes,
    )


class Proxy:
    """Forwards what belongs to one route."""

    def __init__(
        self,
        route: Route,
        config: Config,
        bearer: Callable[[Route], str | None],
        follow: Callable[[Exchange, bool], None] | None,
    ) -> None:
        self._route = route
        self._bearer = bearer
        self._follow = follow
        self._upstream = Upstream(route)
        self._app_base_url = config.app_base_url
        self._fields = RequestFields(config.app_base_url, Clients(config.trusted_proxies))

    def register(self, state: BlueprintSetupState) -> None:
        """Tell Flask's router about the paths, so that it finds them without an exception."""
        for rule in (
            self._route.prefix,
            f"{self._route.prefix}/",
            f"{self._route.prefix}/<path:_>",
        ):
            state.app.url_map.add(
                Rule(rule, endpoint="proxy.forward", strict_slashes=False, merge_slashes=False)
            )
        state.app.view_functions["proxy.forward"] = self.forward

    def before_request(self) -> Response | None:
        """Answer what belongs to the route, whatever the router made of it.

        Werkzeug would redirect `/api//x` to `/api/x`; a path is refused here, not repaired.
        """
        if not belongs_to(request.environ["PATH_INFO"], self._route):
            return None
        return self.forward()

    def forward(self, **_: str) -> Response:
        """Check, ask for the token, forward, answer."""
        environ = request.environ
        target = upstream_target(environ, self._route)
        check_protocol(environ)
        body = request_body(environ, self._route)
        # Before `bearer`, which may write audit lines: they carry the id that a trusted proxy gave.
        request_id = self._request_id()
        lines = self._fields.lines(environ, self._bearer(self._route), request_id)
        method = environ["REQUEST_METHOD"]
        try:
            exchange = self._upstream.ask(method, target, lines, body, gone_check(environ))
        except ClientLeft:
            return Response(status=CLIENT_CLOSED_REQUEST)
        if granian.serves(environ):
            exchange.on_break = partial(granian.hang_up, environ)
        if exchange.open and self._follow is not None:
            try:
                self._follow(exchange, method in self._route.repeatable_methods)
            except BFFError:
                exchange.close()
                raise
        return answer(exchange.head, exchange, self._route, self._app_base_url, target)

    def _request_id(self) -> str:
        request_id: str | None = g.get("request_id")
        if request_id is None:
            request_id = g.request_id = self._fields.request_id(request.environ)
        return request_id
