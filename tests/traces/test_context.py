"""What a caller says of its trace is taken if it is valid, and else as good as not sent."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from bff.app.traces.context import headers_for, taken_from

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GOOD = f"00-{TRACE}-{SPAN}-01"


def environ(parent: str, state: str = "") -> dict[str, Any]:
    return {"HTTP_TRACEPARENT": parent, "HTTP_TRACESTATE": state, "HTTP_BAGGAGE": "user=dana"}


@pytest.mark.parametrize(
    ("parent", "flags"),
    [
        (GOOD, "01"),
        (f" {GOOD}\t", "01"),
        (f"00-{TRACE}-{SPAN}-00", "00"),
        (f"00-{TRACE}-{SPAN}-03", "01"),
        (f"00-{TRACE}-{SPAN}-ff", "01"),
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-brings", "01"),
        (f"cc-{TRACE}-{SPAN}-00", "00"),
    ],
)
def test_a_valid_parent_is_taken(parent: str, flags: str) -> None:
    context = taken_from(environ(parent))
    assert context is not None
    assert context.is_remote
    assert headers_for(context) == {"traceparent": f"00-{TRACE}-{SPAN}-{flags}"}


@pytest.mark.parametrize(
    "parent",
    [
        "", "x", "-", GOOD[:-1], GOOD + "0", GOOD + "-more", GOOD.upper(), f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{'0' * 16}-01", f"{GOOD},{GOOD}", f"{GOOD}\n",
        f"00-{TRACE[:-1]}\u0664-{SPAN}-01", f"cc-{TRACE}-{SPAN}-01more", "0" * 100_000,
    ],
    ids=lambda text: text[:20],
)  # fmt: skip
def test_any_other_parent_counts_as_none(parent: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    given = environ(parent, "a=1")
    assert taken_from(given) is None
    assert given == {}, "nothing of it reaches an upstream"
    assert not caplog.records, "callers could fill the log"


@pytest.mark.parametrize(
    ("state", "passed"),
    [
        ("a=1", "a=1"),
        ("a=1, b=2 ,,c=3,", "a=1,b=2,c=3"),
        ("1tenant@vendor=x/y:z", "1tenant@vendor=x/y:z"),
        ("a=" + "x" * 256, "a=" + "x" * 256),
        ("", None),
        ("a", None),
        ("a=1,a=2", None),
        ("A=1", None),
        ("a=b=c", None),
        ("a=\u00e4", None),
        ("a=1\r\nx: y", None),
        ("a=" + "x" * 257, None),
        (",".join(f"k{i}=1" for i in range(33)), None),
        ("a=1," + "x" * 600, None),
    ],
    ids=lambda text: str(text)[:20],
)
def test_of_the_state_all_or_nothing_is_passed_on(
    state: str, passed: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    context = taken_from(environ(GOOD, state))
    assert context is not None
    assert headers_for(context).get("tracestate") == passed
    assert not caplog.records, "callers could fill the log"
