"""The operator decides what is recorded; a caller can't have more recorded."""

from __future__ import annotations

import pytest
from opentelemetry.context import Context
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

from bff.app.traces.sampler import from_variables

RECORDED = Decision.RECORD_AND_SAMPLE
REQUESTS = 400
SAMPLED_BY_ID, NOT_SAMPLED_BY_ID = 1, (1 << 64) - 1
"""Trace ids that the ratio's sampler takes, and doesn't, at any ratio between 0 and 1."""


def recorded(
    name: str, caller: str, *, ratio: str = "0.5", trusting: bool = False, local: bool = False
) -> int:
    """How many percent of the requests of a caller that says so are recorded."""
    variables = {"OTEL_TRACES_SAMPLER": name, "OTEL_TRACES_SAMPLER_ARG": ratio} if name else {}
    sampler = from_variables(variables, obeys_callers=trusting)
    trace_id = SAMPLED_BY_ID if caller == "lucky id" else NOT_SAMPLED_BY_ID
    flag = TraceFlags(0 if caller == "not sampled" else 1)
    span = SpanContext(trace_id, 7, not local, flag, TraceState([("a", "1")]))
    parent = set_span_in_context(NonRecordingSpan(span))
    results = [sampler.should_sample(parent, trace_id, "GET") for _ in range(REQUESTS)]
    assert all(one.trace_state == span.trace_state for one in results)
    return round(100 * sum(one.decision is RECORDED for one in results) / REQUESTS)


ALL, NONE, HALF = range(100, 101), range(1), range(35, 66)


@pytest.mark.parametrize(
    ("name", "sampled", "not_sampled"),
    [
        ("", ALL, NONE),
        ("always_on", ALL, ALL),
        ("always_off", NONE, NONE),
        ("traceidratio", HALF, HALF),
        ("parentbased_always_on", ALL, NONE),
        ("parentbased_always_off", NONE, NONE),
        ("parentbased_traceidratio", HALF, NONE),
        ("ParentBased_TraceIDRatio", HALF, NONE),
    ],
)
def test_a_caller_can_only_have_less_recorded(
    name: str, sampled: range, not_sampled: range
) -> None:
    assert recorded(name, "sampled") in sampled
    assert recorded(name, "lucky id") in sampled, "the caller chooses the id"
    assert recorded(name, "not sampled") in not_sampled


@pytest.mark.parametrize(
    ("name", "sampled", "not_sampled"),
    [
        ("parentbased_always_on", ALL, NONE),
        ("parentbased_always_off", ALL, NONE),
        ("parentbased_traceidratio", ALL, NONE),
        ("traceidratio", HALF, HALF),
        ("always_off", NONE, NONE),
    ],
)
def test_a_caller_decides_where_the_operator_wants_it(
    name: str, sampled: range, not_sampled: range
) -> None:
    assert recorded(name, "sampled", trusting=True) in sampled
    assert recorded(name, "not sampled", trusting=True) in not_sampled


@pytest.mark.parametrize("name", ["always_on", "always_off", "traceidratio"])
def test_what_belongs_to_a_request_follows_it(name: str) -> None:
    assert recorded(name, "sampled", local=True) in ALL
    assert recorded(name, "not sampled", local=True) in NONE


def test_without_a_caller_the_root_decides() -> None:
    sampler = from_variables(
        {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.5"},
        obeys_callers=False,
    )
    decided = [
        sampler.should_sample(Context(), one, "GET").decision is RECORDED
        for one in (SAMPLED_BY_ID, NOT_SAMPLED_BY_ID)
    ]
    assert decided == [True, False]
