"""How does a person see a trace? As a tree with bars, in text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tests.support.collector import ReceivedSpan

BAR_CHARACTERS = 40
SHOWN = (
    "http.response.status_code", "error.type", "bff.error", "server.address", "server.port",
)  # fmt: skip


def picture(spans: Sequence[ReceivedSpan]) -> str:
    """One line for each span of a trace, below its parent: name, time, bar, what it says."""
    began_at = min(one.began_at for one in spans)
    whole = max(max(one.ended_at for one in spans) - began_at, 1e-9)
    rows = list(_tree(spans))
    width = max(len(name) for name, _ in rows)
    lines = []
    for name, one in rows:
        start = int((one.began_at - began_at) / whole * BAR_CHARACTERS)
        length = max(1, round((one.ended_at - one.began_at) / whole * BAR_CHARACTERS))
        bar = f"{' ' * start}{'█' * length}"[:BAR_CHARACTERS]
        took = (one.ended_at - one.began_at) * 1000
        said = " ".join(str(one.attributes[key]) for key in SHOWN if key in one.attributes)
        lines.append(
            f"{name:{width}}  {one.kind:8} {took:8.1f} ms  {bar:{BAR_CHARACTERS}}  {said}".rstrip()
        )
    return "\n".join(lines)


def _tree(
    spans: Sequence[ReceivedSpan], parent: ReceivedSpan | None = None, indent: str = ""
) -> Iterator[tuple[str, ReceivedSpan]]:
    ids = {one.span_id for one in spans}
    children = [
        one
        for one in sorted(spans, key=lambda one: one.began_at)
        if (one.parent_id == parent.span_id if parent else one.parent_id not in ids)
    ]
    for one in children:
        is_last = one is children[-1]
        branch = "" if parent is None else ("└─ " if is_last else "├─ ")
        yield f"{indent}{branch}{one.name}", one
        yield from _tree(
            spans, one, indent + ("" if parent is None else ("   " if is_last else "│  "))
        )
