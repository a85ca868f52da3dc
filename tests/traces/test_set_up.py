"""What the words of `BFF_TRACES` and OpenTelemetry's variables switch on, they switch on."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from importlib import import_module

import pytest
from flask import Flask
from opentelemetry.sdk.trace import ReadableSpan
from werkzeug.test import EnvironBuilder, run_wsgi_app

from bff import store
from bff.app.traces import set_up
from bff.app.traces.collector import Collector
from bff.app.traces.request_span import TracedBodies
from bff.app.traces.sender import SpanSender
from bff.config import load
from bff.core.operations import Operation, observers
from bff.gateway.observed_requests import ObservedRequests
from bff.store.connection import Script
from bff.store.script_names import script_names
from tests.config.test_settings import GOOD

SAMPLED = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_every_script_has_a_name() -> None:
    modules = [
        import_module(one.name) for one in pkgutil.iter_modules(store.__path__, "bff.store.")
    ]
    there = {one.sha for m in modules for one in vars(m).values() if isinstance(one, Script)}
    names = script_names()
    assert set(names) == there
    assert len(there) > 20
    assert {"load", "replace_tokens", "end_record"} <= set(names.values())


class Kept(SpanSender):
    """Keeps the spans, and sends none."""

    def on_end(self, span: ReadableSpan) -> None:
        self._queue.append(span)

    def names(self) -> list[str]:
        return [one.name for one in self._queue]


@pytest.mark.parametrize(
    ("words", "recorded", "provider_is_told"),
    [
        ("on", [], False),
        ("on,to_provider", [], True),
        ("on,callers_sample", ["POST /token", "GET", "GET"], False),
        ("on,callers_sample,to_provider", ["POST /token", "GET", "GET"], True),
    ],
)
def test_who_decides_and_who_is_told(
    words: str, recorded: list[str], provider_is_told: bool
) -> None:
    config = load(
        GOOD | {"BFF_TRACES": words, "OTEL_TRACES_SAMPLER": "parentbased_traceidratio"}
        | {"OTEL_TRACES_SAMPLER_ARG": "0"}
    )  # fmt: skip
    sender = Kept(Collector(), {})
    told: list[tuple[Mapping[str, str], Mapping[str, str]]] = []

    def view() -> str:
        with Operation("redis", "GET") as redis, Operation("provider", "/token", "POST") as call:
            told.append((redis.headers, call.headers))
        return ""

    app = Flask(__name__)
    app.add_url_rule("/x", "x", view)
    observers.append(set_up._spans(config, sender, config.trace_variables))
    environ = EnvironBuilder("/x", environ_overrides={"HTTP_TRACEPARENT": SAMPLED}).get_environ()
    try:
        run_wsgi_app(ObservedRequests(TracedBodies(app)), environ, buffered=True)
    finally:
        observers.pop()
    [(redis_told, call_told)] = told
    assert redis_told == {}
    assert ("traceparent" in call_told) == provider_is_told
    assert sender.names() == recorded
