"""How are OpenTelemetry's parts put together, once for each process?

By its own variables, as OpenTelemetry documents them; those of `.env` count, too. Its global tracer
is left to the application, which may have one of its own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

from bff.app.traces import sampler
from bff.app.traces.collector import Collector
from bff.app.traces.sender import SpanSender
from bff.app.traces.spans import Spans
from bff.config import Config, trace_options
from bff.config.route import origin_of
from bff.core.operations import observers
from bff.core.version import __version__
from bff.store.script_names import script_names

_started: list[SpanSender] = []


def start(config: Config) -> Callable[[], object]:
    """Trace the operations of this process, unless that has begun already.

    Returns:
        What sends the last spans, at the end of the process.
    """
    if not _started:
        variables = config.trace_variables
        for name, value in variables.items():
            # OpenTelemetry reads nothing else.
            os.environ.setdefault(name, value)
        sender = SpanSender(Collector(), variables)
        observers.append(_spans(config, sender, variables))
        _started.append(sender)
    return _started[0].shutdown


def _spans(config: Config, sender: SpanSender, variables: Mapping[str, str]) -> Spans:
    options = config.traces
    provider = TracerProvider(
        sampler=sampler.from_variables(
            variables, obeys_callers=trace_options.CALLERS_SAMPLE in options
        ),
        resource=_resource(),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(sender)
    tracer = provider.get_tracer("bff", __version__)
    return Spans(
        tracer,
        origin_of(config.app_base_url),
        tells_provider=trace_options.TO_PROVIDER in options,
        scripts=script_names(),
    )


def _resource() -> Resource:
    """Who we are, unless `OTEL_SERVICE_NAME` or `OTEL_RESOURCE_ATTRIBUTES` say it."""
    theirs = Resource.create()
    ours = Resource({"service.version": __version__}).merge(theirs)
    unnamed = str(theirs.attributes["service.name"]).startswith("unknown_service")
    return ours.merge(Resource({"service.name": "bff"})) if unnamed else ours
