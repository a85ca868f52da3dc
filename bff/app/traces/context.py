"""Which trace does a caller's request belong to, and how are others told of ours?

OpenTelemetry's own reader logs what it doesn't understand, as it came: any caller could fill the
log. Here what is wrong counts as not sent. `baggage` is neither read nor passed on: what is in it
would be a stranger's. Source: W3C Trace Context (REC, 2021), 3.2 and 3.3.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping
from typing import Any

from opentelemetry.trace import SpanContext, TraceFlags, TraceState

PARENT_KEY, STATE_KEY, BAGGAGE_KEY = "HTTP_TRACEPARENT", "HTTP_TRACESTATE", "HTTP_BAGGAGE"
"""In a WSGI environment."""

_PARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_KEY = r"[a-z][a-z0-9_\-*/]{0,255}|[a-z0-9][a-z0-9_\-*/]{0,240}@[a-z][a-z0-9_\-*/]{0,13}"
_VALUE = r"[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
_MEMBER = re.compile(f"({_KEY})=({_VALUE})")
_STATE_MAX_CHARACTERS = 512
_MEMBERS_MAX = 32
_SAMPLED = 1


def taken_from(environ: MutableMapping[str, Any]) -> SpanContext | None:
    """The caller's span, if the request names one; the fields about it leave *environ*.

    Else they would reach an upstream as the caller's, in place of ours or beside it.
    """
    parent = environ.pop(PARENT_KEY, "")
    state = environ.pop(STATE_KEY, "")
    environ.pop(BAGGAGE_KEY, None)
    match = _PARENT.fullmatch(parent.strip(" \t"))
    if match is None:
        return None
    version, trace_id, span_id, flags, more = match.groups()
    # A later version may have more parts; its first four are those of this one.
    if version == "ff" or (version == "00" and more) or not int(trace_id, 16) * int(span_id, 16):
        return None
    return SpanContext(
        int(trace_id, 16),
        int(span_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(int(flags, 16) & _SAMPLED),
        trace_state=_state(state),
    )


def _state(text: str) -> TraceState:
    """What else the caller's systems say of the trace; nothing if it isn't as it should be."""
    members = [one.strip(" \t") for one in text.split(",")]
    matches = [_MEMBER.fullmatch(one) for one in members if one]
    pairs = {match[1]: match[2] for match in matches if match}
    fits = len(text) <= _STATE_MAX_CHARACTERS and len(matches) <= _MEMBERS_MAX
    return TraceState(list(pairs.items()) if fits and len(pairs) == len(matches) else None)


def headers_for(context: SpanContext) -> Mapping[str, str]:
    """The fields that tell another system of the span *context*."""
    flags = context.trace_flags & _SAMPLED
    found = {"traceparent": f"00-{context.trace_id:032x}-{context.span_id:016x}-{flags:02x}"}
    if context.trace_state:
        found["tracestate"] = context.trace_state.to_header()
    return found
