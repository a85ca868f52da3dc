"""Which requests are recorded, and who decides it?

The operator, by OpenTelemetry's variables; not the caller. A caller may be anybody: with the flag
`sampled`, or with a trace id that the ratio's sampler takes, it could have every request recorded.
So a caller's flag only says that a request *needn't* be recorded (`parentbased_…`); whether it is,
is decided as for a request without a trace, by chance of ours. `callers_sample` obeys the flag.

Source: OpenTelemetry specification, "Sampler"; W3C Trace Context, 3.2.2.5 and 7.3.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from opentelemetry.context import Context
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    Decision,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)
from opentelemetry.trace import Link, SpanKind, TraceState, get_current_span
from opentelemetry.util.types import Attributes


class RequestSampler(Sampler):
    """Decides about a request; what belongs to it follows.

    Args:
        root: Decides about a request without a trace.
        heeds_callers: A caller's flag can keep its request from being recorded.
        obeys_callers: It also has it recorded.
    """

    def __init__(self, root: Sampler, *, heeds_callers: bool, obeys_callers: bool) -> None:
        self._root = root
        self._heeds_callers = heeds_callers
        self._obeys_callers = obeys_callers

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """Decide about a span that begins (OpenTelemetry's interface)."""
        parent = get_current_span(parent_context).get_span_context()
        if not parent.is_valid:
            return self._root.should_sample(None, trace_id, name, kind, attributes)
        sampled = parent.trace_flags.sampled
        if parent.is_remote and (not self._obeys_callers or not self._heeds_callers):
            wanted = sampled or not self._heeds_callers
            # By an id of ours: the caller has chosen the trace's.
            own_id = random.getrandbits(128)  # noqa: S311 - Nothing secret.
            root = self._root.should_sample(None, own_id, name)
            sampled = wanted and root.decision is Decision.RECORD_AND_SAMPLE
        decision = Decision.RECORD_AND_SAMPLE if sampled else Decision.DROP
        return SamplingResult(decision, attributes, parent.trace_state)

    def get_description(self) -> str:
        """For OpenTelemetry's own messages."""
        return f"RequestSampler{{{self._root.get_description()}}}"


def from_variables(variables: Mapping[str, str], *, obeys_callers: bool) -> RequestSampler:
    """The sampler that `OTEL_TRACES_SAMPLER` names; all requests without it.

    Args:
        variables: OpenTelemetry's, checked (`trace_options`).
        obeys_callers: A caller's flag counts where the sampler is a `parentbased_…` one.
    """
    name = variables.get("OTEL_TRACES_SAMPLER", "parentbased_always_on").strip().lower()
    kind = name.removeprefix("parentbased_")
    root: Sampler = ALWAYS_OFF if kind == "always_off" else ALWAYS_ON
    if kind == "traceidratio":
        root = TraceIdRatioBased(float(variables.get("OTEL_TRACES_SAMPLER_ARG", "1")))
    return RequestSampler(root, heeds_callers=name != kind, obeys_callers=obeys_callers)
