"""Which requests bypass Flask's router, and which parts of Flask do they still get?

Most requests are for the routes of the proxy and for `/auth/verify`, and those are found in a table
of their own. Flask's router and dispatch would find them again, at a fifth of the total cost
(benchmarks/README.md). So a WSGI layer around the application serves them. They get everything else
of Flask: the request context with `g`, `request` and `flask.session`, the error handlers, the
`after_request` and `teardown_request` functions; but no `before_request` functions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flask import Flask, Request, Response
from flask.ctx import RequestContext
from werkzeug.routing import MapAdapter, Rule

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_UNROUTED = "bff.unrouted"


class FlaskWithUnroutedRequests(Flask):
    """Flask, with requests that bypass its router.

    Attributes:
        on_rule: Called with each rule that is added from then on; may raise.
    """

    on_rule: Callable[[Rule], None] | None = None

    def add_url_rule(self, rule: str, *args: Any, **options: Any) -> None:
        """As Flask's, and `on_rule`."""
        before = set(map(id, self.url_map.iter_rules()))
        super().add_url_rule(rule, *args, **options)
        if self.on_rule is not None:
            for one in [one for one in self.url_map.iter_rules() if id(one) not in before]:
                self.on_rule(one)

    def unrouted_context(self, environ: WSGIEnvironment, rule: Rule) -> RequestContext:
        """The request context of a request that bypasses the router.

        Args:
            environ: The request.
            rule: What the router would have found; it names the request in logs and traces.
        """
        environ[_UNROUTED] = True
        context = self.request_context(environ)
        context.request.url_rule = rule
        return context

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """Flask's hook between a request and the router; with None, the router isn't used."""
        if request is not None and _UNROUTED in request.environ:
            return None
        return super().create_url_adapter(request)

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """*func* as it is: no function of this application is a coroutine."""
        return func

    def error_response(self, error: Exception) -> Response:
        """The response of the error handler for *error*; `process_response` must follow.

        Raises:
            Exception: *error* itself, if it has no handler.
        """
        return self.make_response(self.handle_user_exception(error))
