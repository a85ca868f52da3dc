"""A span is as long as its request, and says how it ended."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from flask import Flask, Response
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from werkzeug.test import EnvironBuilder, run_wsgi_app

from bff.app.traces.request_span import TracedBodies
from bff.app.traces.sampler import from_variables
from bff.app.traces.spans import Spans
from bff.core import audit
from bff.core.errors import Overloaded
from bff.core.operations import Operation, begun, observers
from bff.gateway.observed_requests import ObservedRequests
from bff.gateway.unrouted import FlaskWithUnroutedRequests
from bff.web import error_responses

CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
NOT_SAMPLED = CALLER.removesuffix("01") + "00"
STATUS = "http.response.status_code"
ORIGIN = ("https", "app.example.com", 443)
OURS = {"server.address": "app.example.com", "server.port": 443, "url.scheme": "https"}

Ended = Callable[[], list[ReadableSpan]]


@pytest.fixture
def ended() -> Iterator[Ended]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(sampler=from_variables({}, obeys_callers=False))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    scripts = {"5ha1": "load"}
    spans = Spans(provider.get_tracer("test"), ORIGIN, tells_provider=False, scripts=scripts)
    observers.append(spans)
    yield lambda: list(exporter.get_finished_spans())
    observers.remove(spans)
    provider.shutdown()


def pieces(*parts: bytes | Exception) -> Iterator[bytes]:
    for part in parts:
        if isinstance(part, Exception):
            raise part
        yield part


@pytest.fixture
def app(caplog: pytest.LogCaptureFixture) -> Flask:
    app = FlaskWithUnroutedRequests(__name__, static_folder=None)
    error_responses.register(app)
    views: dict[str, Callable[..., Any]] = {
        "/fine/<any('1', '2'):name>": lambda name: name,
        "/busy": lambda: raising(Overloaded("")),
        "/bug": lambda: raising(RuntimeError("of a token")),
        "/stream": lambda: Response(pieces(b"a", b"b")),
        "/broken": lambda: Response(pieces(b"a", ConnectionError("of a token"))),
    }
    for rule, view in views.items():
        app.add_url_rule(rule, rule.split("/")[1], view)
    app.wsgi_app = ObservedRequests(TracedBodies(app))  # type: ignore[method-assign]
    return app


def of_script(sha: str) -> Operation:
    operation = Operation("redis", "EVALSHA")
    operation.script = sha
    return operation


def raising(error: Exception) -> None:
    raise error


@pytest.mark.parametrize(
    ("method", "path", "name", "more", "failed"),
    [
        ("GET", "/fine/1", "GET /fine/<name>", {STATUS: 200}, False),
        ("GET", "/fine/2?code=x", "GET /fine/<name>", {STATUS: 200}, False),
        ("GET", "/stream", "GET /stream", {STATUS: 200}, False),
        ("GET", "/no/such", "GET", {STATUS: 404, "bff.error": "not_found"}, False),
        ("X" * 99, "/fine/1", "HTTP",
         {STATUS: 405, "bff.error": "method_not_allowed"}, False),
        ("GET", "/busy", "GET /busy",
         {STATUS: 503, "bff.error": "overloaded", "error.type": "503"}, True),
        ("GET", "/bug", "GET /bug",
         {STATUS: 500, "bff.error": "internal_error", "error.type": "500"}, True),
    ],
)  # fmt: skip
def test_a_span_says_which_route_and_how_it_ended(
    app: Flask, ended: Ended, method: str, path: str, name: str, more: dict[str, Any], failed: bool
) -> None:
    app.test_client().open(path, method=method).get_data()
    [span] = ended()
    told = dict(span.attributes or {})
    said = told.pop("http.request.method"), told.pop("http.route", "")
    assert said == (name.partition(" ")[0].replace("HTTP", "_OTHER"), name.partition(" ")[2])
    assert (span.name, span.kind, told) == (name, SpanKind.SERVER, OURS | more)
    assert (not span.status.is_ok, span.events) == (failed, ())


def body_of(app: Flask, path: str) -> Iterable[bytes]:
    environ = EnvironBuilder(path).get_environ()
    return run_wsgi_app(app.wsgi_app, environ, buffered=False)[0]


def test_a_stream_s_span_ends_with_its_last_byte(app: Flask, ended: Ended) -> None:
    body = iter(body_of(app, "/stream"))
    assert (next(body), next(body), ended()) == (b"a", b"b", [])
    assert list(body) == []
    assert [one.name for one in ended()] == ["GET /stream"]


def test_a_stream_that_nobody_reads_to_its_end_has_a_span_too(app: Flask, ended: Ended) -> None:
    body = body_of(app, "/stream")
    next(iter(body))
    body.close()  # type: ignore[attr-defined]
    body.close()  # type: ignore[attr-defined]
    assert [one.status.is_ok for one in ended()] == [True]


def test_a_stream_that_breaks_off_has_failed(app: Flask, ended: Ended) -> None:
    body = iter(body_of(app, "/broken"))
    assert next(body) == b"a"
    with pytest.raises(ConnectionError):
        next(body)
    [span] = ended()
    assert (span.status.is_ok, (span.attributes or {})["error.type"]) == (False, "ConnectionError")
    assert "token" not in span.to_json()


def test_what_an_application_raises_past_all_handlers_ends_the_span(ended: Ended) -> None:
    def broken(environ: Any, start_response: Any) -> Iterable[bytes]:
        raise MemoryError("of a token")

    app = Flask(__name__)
    app.wsgi_app = broken  # type: ignore[method-assign]
    with pytest.raises(MemoryError):
        run_wsgi_app(ObservedRequests(TracedBodies(app)), EnvironBuilder("/x").get_environ())
    [span] = ended()
    assert (span.status.is_ok, (span.attributes or {})["error.type"]) == (False, "MemoryError")
    assert "token" not in span.to_json()


def during_a_request(work: Callable[[], object], **environ: str) -> None:
    app = Flask(__name__)
    app.add_url_rule("/x", "x", lambda: (work(), "")[1])
    layers = ObservedRequests(TracedBodies(app))
    run_wsgi_app(
        layers, EnvironBuilder("/x", environ_overrides=environ).get_environ(), buffered=True
    )


@pytest.mark.parametrize(
    ("operation", "name", "kind", "told"),
    [
        (Operation("redis", "EVALSHA"), "EVALSHA", SpanKind.CLIENT,
         {"db.system.name": "redis", "db.operation.name": "EVALSHA"}),
        (of_script("5ha1"), "EVALSHA load", SpanKind.CLIENT,
         {"db.system.name": "redis", "db.operation.name": "EVALSHA",
          "db.stored_procedure.name": "load"}),
        (of_script("another"), "EVALSHA", SpanKind.CLIENT,
         {"db.system.name": "redis", "db.operation.name": "EVALSHA"}),
        (Operation("redis", "pipeline"), "PIPELINE", SpanKind.CLIENT,
         {"db.system.name": "redis", "db.operation.name": "PIPELINE"}),
        (Operation("provider", "/oauth/token", "POST"), "POST /oauth/token", SpanKind.CLIENT,
         {"http.request.method": "POST"}),
        (Operation("upstream", "/api", "GET"), "GET /api", SpanKind.CLIENT,
         {"http.request.method": "GET"}),
        (Operation("upstream", "/api", "<script>"), "HTTP /api", SpanKind.CLIENT,
         {"http.request.method": "_OTHER"}),
        (Operation("refresh_wait", "lock"), "wait for a refresh (lock)", SpanKind.INTERNAL, {}),
    ],
)  # fmt: skip
def test_what_a_request_waits_for_is_below_it(
    ended: Ended, operation: Operation, name: str, kind: SpanKind, told: dict[str, str]
) -> None:
    def work() -> None:
        with operation:
            pass

    during_a_request(work)
    below, request = ended()
    assert (below.name, below.kind, dict(below.attributes or {})) == (name, kind, told)
    assert below.parent is not None
    assert (below.parent.span_id, below.status.is_ok) == (request.context.span_id, True)


def test_spans_of_an_application_s_own_tracer_are_below_the_request(ended: Ended) -> None:
    theirs = TracerProvider().get_tracer("theirs")
    made: list[Any] = []
    during_a_request(lambda: made.append(theirs.start_span("of the shop")))
    [request] = ended()
    assert made[0].parent.span_id == request.context.span_id


@pytest.mark.parametrize("status", [0, 404, 503])
def test_what_failed_is_marked(ended: Ended, status: int) -> None:
    def work() -> None:
        with Operation("upstream", "/api", "GET") as operation:
            operation.status, operation.origin = status, ("http", "::1", 80)
            if not status:
                raise TimeoutError("of a token")

    during_a_request(work)
    span = ended()[0]
    told = dict(span.attributes or {})
    assert (span.status.is_ok, told["error.type"]) == (False, str(status or "TimeoutError"))
    assert (told["server.address"], told["server.port"]) == ("::1", 80)
    assert "token" not in span.to_json()


@pytest.mark.parametrize("caller", [CALLER, NOT_SAMPLED])
def test_an_upstream_is_told_of_the_span_that_calls_it_and_the_provider_of_none(
    ended: Ended, caller: str
) -> None:
    told = []

    def work() -> None:
        for operation in (Operation("upstream", "/api", "GET"), Operation("provider", "/token")):
            with operation:
                told.append(dict(operation.headers))

    during_a_request(work, HTTP_TRACEPARENT=caller, HTTP_TRACESTATE="a=1", HTTP_BAGGAGE="user=x")
    assert [sorted(one) for one in told] == [["traceparent", "tracestate"], []]
    version, trace_id, span_id, flags = told[0]["traceparent"].split("-")
    assert [version, trace_id, flags] == [caller.split("-")[i] for i in (0, 1, 3)]
    assert span_id not in caller
    found = [one.context.span_id for one in ended() if one.name == "GET /api"]
    assert found == ([int(span_id, 16)] if flags == "01" else [])


def test_health_checks_and_background_work_have_no_spans(app: Flask, ended: Ended) -> None:
    with begun("redis", "GET"), Operation("upstream", "/api", "GET") as operation:
        assert operation.headers == {}
    app.test_client().get("/healthz")
    app.test_client().get("/readyz")
    assert ended() == []


@pytest.mark.parametrize("caller", [CALLER, NOT_SAMPLED])
def test_audit_lines_have_the_trace_s_id_recorded_or_not(
    ended: Ended, caller: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="bff.audit")
    during_a_request(lambda: audit.record("unexpected_error", "ok"), HTTP_TRACEPARENT=caller)
    audit.record("unexpected_error", "ok")
    first, second = (one.getMessage() for one in caplog.records if one.name == "bff.audit")
    assert f'"trace_id": "{caller.split("-")[1]}"' in first
    assert '"trace_id": null' in second
