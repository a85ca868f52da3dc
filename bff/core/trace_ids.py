"""To which trace does the work of this thread belong? For log lines; none while traces are off."""

from __future__ import annotations

from contextvars import ContextVar

current: ContextVar[str | None] = ContextVar("trace_id", default=None)
"""32 hexadecimal digits (W3C Trace Context, 3.2.2.3); `bff.app.traces` sets it."""


def trace_id() -> str | None:
    """The id of the current trace; None outside of requests, and while traces are off."""
    return current.get()
