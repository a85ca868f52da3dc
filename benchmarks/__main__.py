"""Which benchmarks run? `make bench`, or `python -m benchmarks --help`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks import alone, correctness, machine, report, speed
from benchmarks.contestants import ALL, Contestant, RunContext
from benchmarks.programs import Missing
from benchmarks.testbed import HERE, SIZES, Testbed

README = HERE / "README.md"
BEGIN, END = "<!-- the last run -->", "<!-- end of the last run -->"
PARTS = ("speed", "correctness", "alone")
CONNECTIONS = (1, 16, 256)
LONG_SECONDS = 3600
"""No access token expires while speed is measured."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks and print the results as Markdown, with progress on stderr.

    Returns:
        0; 1 with `--check` if a bar is missed; 2 if a program isn't installed.
    """
    options = _parser().parse_args(arguments)
    try:
        return _run(options)
    except Missing as missing:
        print(missing, file=sys.stderr)
        return 2


def _run(options: argparse.Namespace) -> int:
    kinds = [ALL[name] for name in options.only]
    passed = True
    say = Report()
    say(f"### The machine\n\n{machine.description()}")
    with Testbed() as testbed:
        if "speed" in options.parts:
            with testbed.phase():
                passed = _speed(testbed, kinds, options, say)
        if "correctness" in options.parts:
            _log("correctness …")
            with testbed.phase():
                rows = correctness.measure(
                    testbed, kinds, storms=options.storms, races=options.races
                )
            say(f"### What is right\n\n{report.correctness_table(rows)}")
        if "alone" in options.parts:
            for section in alone.sections(testbed):
                say(section)
    if options.write:
        say.write_into(README)
    return 1 if options.check and not passed else 0


def _speed(
    testbed: Testbed, kinds: Iterable[type[Contestant]], options: argparse.Namespace, say: Report
) -> bool:
    contestants = [kind() for kind in kinds]
    provider = testbed.start_provider([one.client() for one in contestants], LONG_SECONDS)
    candidates = []
    for contestant in contestants:
        _log(f"{contestant.name}: {options.sessions} sign-ins …")
        contestant.start(RunContext(testbed, provider, testbed.upstream, LONG_SECONDS))
        candidates.append(speed.ready(contestant, testbed, options.sessions))
    candidates.append(speed.ready_direct(testbed, contestants[0]))
    samples = []
    for sample in speed.rounds(candidates, _cells(options), options.seconds):
        _log(
            f"{sample.cell.size} × {sample.cell.connections}, round {sample.round + 1}: "
            f"{sample.contestant} {sample.cpu_us:.0f} µs, {sample.load.per_second:.0f}/s"
        )
        samples.append(sample)
    bars, passed = report.bars(samples)
    say(f"### The bars: 1k answers, 16 connections\n\n{bars}")
    for cell in _cells(options):
        say(report.speed_table(cell, samples))
    say(f"### Sign-ins\n\n{report.sign_in_table(candidates)}")
    return passed


def _cells(options: argparse.Namespace) -> dict[speed.Cell, int]:
    """The number of rounds of each cell: most where the bars apply."""
    cells = [speed.Cell(size, n) for size in options.size for n in options.connections]
    ordered = sorted(cells, key=lambda cell: cell != report.MEASURED)
    fewer = max(1, options.rounds // 5)
    return {cell: options.rounds if cell == report.MEASURED else fewer for cell in ordered}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    add = parser.add_argument
    add(
        "--only",
        type=_names(ALL),
        default=[name for name, kind in ALL.items() if kind.by_default],
        help=f"of {','.join(ALL)}; all but ours-metrics by default",
    )
    add("--parts", type=_names(PARTS), default=list(PARTS), help=f"of {','.join(PARTS)}")
    add("--size", type=_names(SIZES), default=list(SIZES), help=f"of {','.join(SIZES)}")
    add("--connections", type=_numbers, default=list(CONNECTIONS), help="such as 1,16,256")
    add("--sessions", type=int, default=1000, help="in rotation (%(default)s)")
    add("--rounds", type=int, default=45, help="at 16 connections and 1 KB; else a fifth of it")
    add("--seconds", type=int, default=1, help="of one measurement (%(default)s)")
    add("--storms", type=int, default=5, help="refresh storms (%(default)s)")
    add("--races", type=int, default=20, help="logouts with requests in flight (%(default)s)")
    add("--check", action="store_true", help="exit with 1 if a bar is missed")
    add("--write", action="store_true", help="put the tables into benchmarks/README.md")
    add("--quick", action=_Quick, nargs=0, help="a few minutes: fewer cells and rounds")
    return parser


class Report:
    """The results as Markdown: printed at once, and stored for `write_into`."""

    def __init__(self) -> None:
        self._sections: list[str] = []

    def __call__(self, section: str) -> None:
        """Add a section."""
        self._sections.append(section)
        print(section, end="\n\n", flush=True)

    def write_into(self, file: Path) -> None:
        """Replace the results of the last run in *file*."""
        before, _, rest = file.read_text().partition(BEGIN)
        after = rest.partition(END)[2]
        file.write_text("\n\n".join([before + BEGIN, *self._sections, END + after]))


class _Quick(argparse.Action):
    """Fewer parts, cells and rounds; later options override it."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        namespace.parts = ["speed", "correctness"]
        namespace.size, namespace.connections = ["1k"], [16]
        namespace.rounds, namespace.storms, namespace.races = 10, 2, 5


class _names:  # noqa: N801 - It is used as a function.
    """Parses a list of known names."""

    def __init__(self, known: Iterable[str]) -> None:
        self._known = list(known)

    def __call__(self, text: str) -> list[str]:
        names = text.split(",")
        for name in names:
            if name not in self._known:
                raise argparse.ArgumentTypeError(f"{name} is none of {', '.join(self._known)}")
        return names


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def _log(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
