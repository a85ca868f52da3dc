"""When is a request over? When the last byte of its response is: a stream may last for hours."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from flask import Flask
from opentelemetry.trace import Span, StatusCode

from bff.app.traces import attributes
from bff.core import trace_ids
from bff.core.operations import Operation
from bff.gateway.observed_requests import NO_ROUTE

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_CONVERTER = re.compile(r"<[^<>]*:")
KEY = "bff.request_span"
"""The request's span in its WSGI environment."""


class RequestSpan:
    """The span of one request; it ends once."""

    __slots__ = ("_body_is_open", "_span", "operation", "route", "trace_id")

    def __init__(self, span: Span, operation: Operation) -> None:
        self._span = span
        self.operation = operation
        self._body_is_open = False
        self.route = ""
        self.trace_id = f"{span.get_span_context().trace_id:032x}"

    def keep_open(self) -> None:
        """The body of the response is still to be sent; `end` follows."""
        self._body_is_open = True

    def begun_response(self) -> None:
        """The response has begun, or there is none; without an open body that is all."""
        operation, span = self.operation, self._span
        if span.is_recording():
            values = attributes.of_http(operation)
            if self.route:
                values["http.route"] = self.route
                span.update_name(attributes.http_name(operation.method, self.route))
            span.set_attributes(values)
            self._fail(attributes.error_of(operation, attributes.SERVER_ERROR))
        if not self._body_is_open:
            span.end()

    def end(self, error: str = "") -> None:
        """The body is complete, or nobody reads it; *error* is the class of an exception."""
        if self._body_is_open:
            self._body_is_open = False
            self._fail(error)
            self._span.end()

    def _fail(self, error: str) -> None:
        if error:
            self._span.set_attribute("error.type", error)
            self._span.set_status(StatusCode.ERROR)


class TracedBodies:
    """A WSGI layer below that of the operations: tells a request's span of its route and its body.

    Args:
        app: Knows the rules of its endpoints.
    """

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._next = app.wsgi_app
        self._routes: dict[str, str] = {}

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request (PEP 3333)."""
        span: RequestSpan | None = environ.get(KEY)
        if span is None:
            return self._next(environ, start_response)
        try:
            body = self._next(environ, start_response)
        finally:
            span.route = self._route(span.operation.name)
        # A server sends a list in one piece.
        return body if isinstance(body, list) else _TracedBody(body, span)

    def _route(self, name: str) -> str:
        """The prefix of a route of the proxy, or the rule of an endpoint; else empty."""
        if name == NO_ROUTE or name.startswith("/"):
            return name.removeprefix(NO_ROUTE)
        found = self._routes.get(name)
        if found is None:
            # Of several rules, the most general one is the longest: `/` and `/<path:name>`.
            rule = max((one.rule for one in self._app.url_map.iter_rules(name)), key=len)
            found = self._routes[name] = _CONVERTER.sub("<", rule)
        return found


class _TracedBody:
    """The body of a response; its log lines have the trace's id."""

    def __init__(self, body: Iterable[bytes], span: RequestSpan) -> None:
        self._body = body
        self._next = iter(body).__next__
        self._span = span
        span.keep_open()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        named = trace_ids.current.set(self._span.trace_id)
        try:
            return self._next()
        except StopIteration:
            self._span.end()
            raise
        except BaseException as error:
            self._span.end(type(error).__name__)
            raise
        finally:
            trace_ids.current.reset(named)

    def close(self) -> None:
        """The server calls it in any case (PEP 3333)."""
        try:
            if hasattr(self._body, "close"):
                self._body.close()
        finally:
            self._span.end()
