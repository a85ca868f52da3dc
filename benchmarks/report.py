"""How are the figures shown? As Markdown tables: medians with quartiles, and their ratios."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from benchmarks.correctness import Row
from benchmarks.speed import DIRECT, Candidate, Cell, Sample

OURS, BEHIND_NGINX, WITH_METRICS = "ours", "ours-nginx", "ours-metrics"
WORSE = 0.10
"""The tolerance for throughput and p99."""
MEASURED = Cell("1k", 16)
"""The cell to which the bars apply."""


@dataclass(frozen=True)
class Bar:
    """The limit of CPU time per request, relative to a peer."""

    ours: str
    peer: str
    at_most: float


BARS = (
    Bar(OURS, "mod_auth_openidc", 0.85),
    Bar(OURS, "express-openid-connect", 0.85),
    Bar(OURS, "hand-written", 0.35),
    Bar(BEHIND_NGINX, "mod_auth_openidc", 0.70),
    Bar(WITH_METRICS, OURS, 1.03),
)


class Figures:
    """The samples of one cell, by contestant and round."""

    def __init__(self, cell: Cell, samples: Iterable[Sample]) -> None:
        self.cell = cell
        self.by_name: dict[str, dict[int, Sample]] = {}
        for sample in samples:
            if sample.cell == cell:
                self.by_name.setdefault(sample.contestant, {})[sample.round] = sample

    def each(self, name: str, figure: Callable[[Sample], float]) -> list[float]:
        """A figure of one contestant in every round."""
        return [figure(sample) for sample in self.by_name[name].values()]

    def median(self, name: str, figure: Callable[[Sample], float]) -> float:
        """The median of a figure over the rounds."""
        return statistics.median(self.each(name, figure))

    def ratio(self, name: str, other: str) -> float:
        """Its CPU time divided by that of the other: the ratio of the medians."""
        return self.median(name, _cpu) / self.median(other, _cpu)

    def ratios(self, name: str, other: str) -> list[float]:
        """The same in every round."""
        ours, theirs = self.by_name[name], self.by_name[other]
        return [ours[r].cpu_us / theirs[r].cpu_us for r in ours if r in theirs]

    def added(self, name: str, figure: Callable[[Sample], float]) -> float:
        """The median of the difference to the direct call of the same round."""
        direct = self.by_name.get(DIRECT, {})
        own = self.by_name[name]
        both = [figure(own[r]) - figure(direct[r]) for r in own if r in direct]
        return statistics.median(both) if both else float("nan")


def _cpu(sample: Sample) -> float:
    return sample.cpu_us


def _per_second(sample: Sample) -> float:
    return sample.load.per_second


def _p50(sample: Sample) -> float:
    return sample.load.p50_us / 1000


def _p99(sample: Sample) -> float:
    return sample.load.p99_us / 1000


def _megabytes(sample: Sample) -> float:
    return sample.resident_bytes / 1e6


# ---------------------------------------------------------------- the tables
def speed_table(cell: Cell, samples: Sequence[Sample]) -> str:
    """The table of one cell, with all contestants."""
    figures = Figures(cell, samples)
    rounds = max(len(own) for own in figures.by_name.values())
    names = [name for name in figures.by_name if name != DIRECT]
    ours = [name for name in (OURS, BEHIND_NGINX) if name in names]
    titles = ["", "CPU µs per request", *(f"{name} ÷ it" for name in ours)]
    titles += ["requests/s", "p50 added, ms", "p99 added, ms", "p99, ms", "memory, MB"]
    rows = [_speed_row(figures, name, ours) for name in names]
    if DIRECT in figures.by_name:
        dashes = ["–"] * (len(ours) + 1)
        speed = f"{figures.median(DIRECT, _per_second):.0f}"
        rows.append([DIRECT, *dashes, speed, "–", "–", f"{figures.median(DIRECT, _p99):.1f}", "–"])
    noun = "connection" if cell.connections == 1 else "connections"
    head = f"### Speed: {cell.size} answers, {cell.connections} {noun} ({rounds} rounds)"
    return f"{head}\n\n{table(titles, rows)}"


def _speed_row(figures: Figures, name: str, ours: Sequence[str]) -> list[str]:
    cpu = f"{figures.median(name, _cpu):.0f} ({_spread(figures.each(name, _cpu), '.0f')})"
    ratios = ["–" if name in (OURS, BEHIND_NGINX) else _ratio(figures, one, name) for one in ours]
    return [
        name,
        cpu,
        *ratios,
        f"{figures.median(name, _per_second):.0f}{_failures(figures, name)}",
        f"{figures.added(name, _p50):.1f}",
        f"{figures.added(name, _p99):.1f}",
        f"{figures.median(name, _p99):.1f}",
        f"{figures.median(name, _megabytes):.0f}",
    ]


def _failures(figures: Figures, name: str) -> str:
    failed = sum(figures.each(name, lambda sample: sample.load.failed))
    return f" ({failed:.0f} failed)" if failed else ""


def _ratio(figures: Figures, name: str, other: str) -> str:
    spread = _spread(figures.ratios(name, other), ".2f")
    return f"{figures.ratio(name, other):.2f} ({spread})"


def bars(samples: Sequence[Sample]) -> tuple[str, bool]:
    """Return the table of the bars, and whether all that were measured are reached."""
    figures = Figures(MEASURED, samples)
    rows, passed = [], True
    for bar in BARS:
        if bar.ours in figures.by_name and bar.peer in figures.by_name:
            cpu = figures.ratio(bar.ours, bar.peer)
            speed, p99 = (
                figures.median(bar.ours, figure) / figures.median(bar.peer, figure)
                for figure in (_per_second, _p99)
            )
            whole = not _failures(figures, bar.ours)
            reached = whole and cpu <= bar.at_most and speed >= 1 - WORSE and p99 <= 1 + WORSE
            rows.append([
                f"{bar.ours} against {bar.peer}", f"{cpu:.2f}", f"{bar.at_most:.2f}",
                f"{speed:.2f}", f"{p99:.2f}", "yes" if reached else "**no**",
            ])  # fmt: skip
            passed &= reached
    titles = ["", "CPU ratio", "at most", "throughput ÷ its", "p99 ÷ its", "reached"]
    return table(titles, rows), passed


def sign_in_table(candidates: Iterable[Candidate]) -> str:
    """The table of sign-ins per second and their CPU time."""
    rows = [
        [one.name, f"{one.sign_ins_per_second:.0f}", f"{one.sign_in_cpu_us / 1000:.1f}"]
        for one in candidates
        if one.contestant
    ]
    return table(["", "sign-ins/s", "CPU ms per sign-in"], rows)


def correctness_table(rows: Iterable[Row]) -> str:
    """The table of the counts, one contestant per line."""
    titles = [
        "", "refresh storms: requests that failed", "refreshes per storm",
        "signed out by the storm", "logouts undone by requests in flight",
        "… by requests that refresh", "refresh token dead after logout",
        "… when the revocation endpoint was down meanwhile",
    ]  # fmt: skip
    lines = [
        [
            row.contestant,
            f"{row.storm_failed} of {row.storm_requests}",
            f"{statistics.mean(row.storm_refreshes):.1f}",
            f"{row.storm_signed_out} of {row.storms}",
            f"{row.undone} of {row.races}",
            f"{row.refreshing_undone} of {row.refreshing_races}",
            "no" if row.token_valid_after_logout else "yes",
            "no" if row.token_valid_after_outage else "yes",
        ]
        for row in rows
    ]
    return table(titles, lines)


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _spread(values: Sequence[float], form: str) -> str:
    if len(values) < 2:
        return f"{values[0]:{form}}"
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return f"{low:{form}}–{high:{form}}"
