"""Which requests bypass Flask's router, and which parts of Flask do they still get?

Most requests are for the routes of the proxy and for `/auth/verify`, and those are found in a table
of their own. Flask's router and dispatch would find them again, at a fifth of the total cost
(benchmarks/README.md). So a WSGI layer around the application serves them. They get everything else
of Flask: the request context with `g`, `request` and `flask.session`, the error handlers, the
`after_request` and `teardown_request` functions; but no `before_request` functions.

Both kinds of requests show Flask the public origin (`bff.core.public_origin`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import flask
from flask import Flask, Response, appcontext_tearing_down, request, request_tearing_down
from flask.ctx import RequestContext
from werkzeug.routing import MapAdapter, Rule
from werkzeug.wsgi import get_host

from bff.core.operations import observers
from bff.core.public_origin import as_received, origin_variables, replace_origin
from bff.gateway.observed_requests import name_request
from bff.gateway.response_log import RULE, logged

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


class Request(flask.Request):
    """Flask's, which looks for files to close only where a form was parsed."""

    def close(self) -> None:
        """Close the files of the form."""
        if "files" in self.__dict__:
            super().close()


class FlaskWithUnroutedRequests(Flask):
    """Flask, with requests that bypass its router, and no work at their end where nobody asked.

    Args:
        import_name: As Flask's.
        static_folder: As Flask's, but none by default.
        logs_responses: Whether each response gets a line in the log.
        base_url: The public origin, for all addresses that Flask makes; the server's if None.

    Attributes:
        on_rule: Called with each rule that is added from then on; may raise.
        unrouted_adapter: Makes addresses where no request went through the router.
    """

    request_class = Request
    on_rule: Callable[[Rule], None] | None = None

    def __init__(
        self,
        import_name: str,
        *,
        static_folder: str | None = None,
        logs_responses: bool = False,
        base_url: str | None = None,
    ) -> None:
        super().__init__(import_name, static_folder=static_folder)
        self._logs_responses = logs_responses
        self._origin = origin_variables(base_url) if base_url is not None else {}
        self.unrouted_adapter = self._adapter_at_origin()

    def _adapter_at_origin(self) -> MapAdapter | None:
        if not self._origin:
            return None
        host, scheme = self._origin["HTTP_HOST"], self._origin["wsgi.url_scheme"]
        return self.url_map.bind(host, url_scheme=scheme)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request (PEP 3333), through all layers around `wsgi_app`."""
        if self._logs_responses:
            return logged(self.wsgi_app, environ, start_response)
        return self.wsgi_app(environ, start_response)

    def wsgi_app(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """As Flask's, the innermost layer, at the public origin."""
        if self._origin:
            replace_origin(environ, self._origin)
        return super().wsgi_app(environ, start_response)

    def add_url_rule(self, rule: str, *args: Any, **options: Any) -> None:
        """As Flask's, and `on_rule`."""
        if self.on_rule is None:
            super().add_url_rule(rule, *args, **options)
            return
        # Each look at the rules sorts them, so there is none before it is needed.
        before = set(map(id, self.url_map.iter_rules()))
        super().add_url_rule(rule, *args, **options)
        for one in [one for one in self.url_map.iter_rules() if id(one) not in before]:
            self.on_rule(one)

    def unrouted_context(self, environ: WSGIEnvironment, rule: Rule) -> RequestContext:
        """The request context of a request that bypasses the router.

        Once it is pushed, `url_adapter` needs `unrouted_adapter`: until then it would match.

        Args:
            environ: The request.
            rule: What the router would have found; it names the request in logs and traces.
        """
        environ[RULE] = rule
        environ.update(self._origin)
        if observers:
            name_request(environ, rule)
        context = self.request_context(environ)
        context.request.url_rule = rule
        return context

    def create_url_adapter(self, request: flask.Request | None) -> MapAdapter | None:
        """Flask's hook between a request and the router; with None, the router isn't used.

        Raises:
            SecurityError: `TRUSTED_HOSTS` doesn't have the `Host` that was received.
        """
        if request is None and self.config["SERVER_NAME"] is None:
            return self.unrouted_adapter
        if request is not None:
            if RULE in request.environ:
                return None
            if (trusted_hosts := self.config["TRUSTED_HOSTS"]) is not None:
                get_host(dict(as_received(request.environ)), trusted_hosts)
        return super().create_url_adapter(request)

    def full_dispatch_request(self) -> Response:
        """As Flask's, of a request that has been through the router."""
        if observers:
            name_request(request.environ, request.url_rule)
        return super().full_dispatch_request()

    def do_teardown_request(self, *error: BaseException | None) -> None:
        """As Flask's, if there is a function or a receiver for it."""
        if self.teardown_request_funcs or request_tearing_down.receivers:
            super().do_teardown_request(*error)

    def do_teardown_appcontext(self, *error: BaseException | None) -> None:
        """As Flask's, if there is a function or a receiver for it."""
        if self.teardown_appcontext_funcs or appcontext_tearing_down.receivers:
            super().do_teardown_appcontext(*error)

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """*func* as it is: no function of this application is a coroutine."""
        return func

    def error_response(self, error: Exception) -> Response:
        """The response of the error handler for *error*; `process_response` must follow.

        Raises:
            Exception: *error* itself, if it has no handler.
        """
        return self.make_response(self.handle_user_exception(error))
