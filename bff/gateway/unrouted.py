"""Which requests does Flask's router not see, and what of Flask do they get nonetheless?

What is asked most, the routes of the proxy and `/auth/verify`, has a table of paths of its own.
Flask's router and dispatch would find the same answer again at a fifth of the whole price
(benchmarks/README.md). So these requests are answered before it, by a layer around the WSGI
application. They get everything else: the request context with `g`, `request` and
`flask.session`, the error handlers, the `after_request` and `teardown_request` functions. What they
don't get is `before_request` functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Flask, Request, Response
from flask.ctx import RequestContext
from werkzeug.routing import MapAdapter, Rule

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_UNROUTED = "bff.unrouted"


class FlaskWithUnroutedRequests(Flask):
    """Flask, with requests that its router doesn't see."""

    def unrouted_context(self, environ: WSGIEnvironment, rule: Rule) -> RequestContext:
        """The context of a request that is answered without the router.

        Args:
            environ: The request.
            rule: What the router would have found; names the request in logs and traces.
        """
        environ[_UNROUTED] = True
        context = self.request_context(environ)
        context.request.url_rule = rule
        return context

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """Flask's hook between a request and the router: None keeps them apart."""
        if request is not None and _UNROUTED in request.environ:
            return None
        return super().create_url_adapter(request)

    def error_response(self, error: Exception) -> Response:
        """What the error handlers make of *error*; `process_response` is still to come.

        Raises:
            Exception: *error* itself, if no handler is for it.
        """
        return self.make_response(self.handle_user_exception(error))
