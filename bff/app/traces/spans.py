"""When does a span begin and end: that of a request, and those of what it waits for?

Work in the background has none: it would be a trace of its own each second.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from opentelemetry import context
from opentelemetry.trace import (
    INVALID_SPAN,
    NonRecordingSpan,
    Span,
    SpanKind,
    StatusCode,
    Tracer,
    get_current_span,
    set_span_in_context,
)

from bff.app.traces import attributes
from bff.app.traces.context import headers_for, taken_from
from bff.app.traces.request_span import KEY, RequestSpan
from bff.config.route import Origin
from bff.core import trace_ids
from bff.core.operations import Fact, Operation

UNTRACED = frozenset({"/healthz", "/readyz"})
"""Asked every few seconds by every load balancer."""


class Spans:
    """An observer of operations (`bff.core.operations`).

    Args:
        tracer: Makes the spans.
        our_origin: Where browsers find this application.
        tells_provider: The provider is told of the trace, too.
        scripts: Those of Redis, by their hash.
    """

    def __init__(
        self,
        tracer: Tracer,
        our_origin: Origin,
        *,
        tells_provider: bool,
        scripts: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._tracer = tracer
        self._scripts = scripts
        self._ours = attributes.of_origin(our_origin) | {"url.scheme": our_origin[0]}
        self._told = {"upstream", "provider"} if tells_provider else {"upstream"}

    def begin(self, operation: Operation) -> Callable[[], object]:
        """An operation begins."""
        if operation.kind == "request":
            return self._begin_request(operation)
        parent = get_current_span()
        if parent is INVALID_SPAN:
            return _nothing
        span = parent
        if parent.is_recording():
            kind = SpanKind.INTERNAL if operation.kind == "refresh_wait" else SpanKind.CLIENT
            span = self._tracer.start_span(_name(operation), kind=kind)
        if operation.kind in self._told:
            operation.headers = {**operation.headers, **headers_for(span.get_span_context())}
        return (lambda: self._end(span, operation)) if span is not parent else _nothing

    def ended(self, operation: Operation) -> None:
        """Nothing: what `begin` has returned ends the span."""

    def note(self, fact: Fact, value: str) -> None:
        """Something is so: of the current request's error its code is kept."""
        if fact == "error_response":
            get_current_span().set_attribute("bff.error", value)

    def _begin_request(self, operation: Operation) -> Callable[[], object]:
        environ: dict[str, Any] = operation.environ or {}
        if environ.get("PATH_INFO") in UNTRACED:
            return _nothing
        caller = taken_from(environ)
        parent = set_span_in_context(NonRecordingSpan(caller)) if caller else context.Context()
        name = attributes.http_name(operation.method, "")
        span = self._tracer.start_span(name, parent, SpanKind.SERVER, self._ours)
        request_span = environ[KEY] = RequestSpan(span, operation)
        entered = context.attach(set_span_in_context(span))
        named = trace_ids.current.set(f"{span.get_span_context().trace_id:032x}")

        def end() -> None:
            context.detach(entered)
            trace_ids.current.reset(named)
            environ.pop(KEY, None)
            request_span.begun_response()

        return end

    def _end(self, span: Span, operation: Operation) -> None:
        values: attributes.Values = {}
        if operation.kind == "redis":
            script = self._scripts.get(operation.script, "")
            values = attributes.of_redis(operation, script)
            if script:
                span.update_name(f"{_name(operation)} {script}")
        elif operation.kind != "refresh_wait":
            values = attributes.of_http(operation) | attributes.of_origin(operation.origin)
        error = attributes.error_of(operation)
        if error:
            values["error.type"] = error
            span.set_status(StatusCode.ERROR)
        span.set_attributes(values)
        span.end()


def _name(operation: Operation) -> str:
    if operation.kind == "redis":
        return operation.name.upper()
    if operation.kind == "refresh_wait":
        return f"wait for a refresh ({operation.name})"
    return attributes.http_name(operation.method, operation.name)


def _nothing() -> None:
    """The end of what has no span."""
