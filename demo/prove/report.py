"""How are the results shown? A table while the proof runs, or JSON."""

from __future__ import annotations

import json
from collections import Counter

from demo.prove.rows import Row

WIDTHS = (60, 34, 50)
MARKS = {"held": "ok", "broken": "BROKEN", "not run": "not run"}


class Printer:
    """Prints each row as it comes, with a title above each section."""

    def __init__(self) -> None:
        self._section = ""

    def head(self, subject: str) -> None:
        """Print the subject and how to read the table."""
        print(
            f"{subject}\n\nEverything that a thief could copy is checked before a session ends, "
            "and tried again after it.\nThe milliseconds count from the response to the logout to "
            "the response that decided.\n"
        )
        print(_line("attack", "expected", "got", "ms", ""))

    def row(self, row: Row) -> None:
        """Print one row."""
        if row.section != self._section:
            self._section = row.section
            print(f"\n{row.section}")
        took = "" if row.milliseconds is None else f"{row.milliseconds:.0f}"
        mark = MARKS[row.outcome]
        print(_line(f"  {row.attack}", row.expected, row.got, took, mark), flush=True)


def _line(attack: str, expected: str, got: str, took: str, mark: str) -> str:
    cells = (attack, expected, got)
    text = " ".join(f"{cell:<{width}}" for cell, width in zip(cells, WIDTHS, strict=True))
    return f"{text} {took:>7} {mark}".rstrip()


def summary(rows: list[Row]) -> str:
    """Return one line: the number of rows by outcome."""
    counts = Counter(row.outcome for row in rows)
    broken = [row.id for row in rows if row.outcome == "broken"]
    text = f"{counts['held']} held, {counts['broken']} broken, {counts['not run']} not run"
    return f"{text}: {', '.join(broken)}" if broken else f"{text}."


def as_json(rows: list[Row]) -> str:
    """Return all rows, and whether none is broken."""
    listed = [
        {
            "id": row.id,
            "section": row.section,
            "attack": row.attack,
            "expected": row.expected,
            "got": row.got,
            "milliseconds": None if row.milliseconds is None else round(row.milliseconds),
            "outcome": row.outcome,
        }
        for row in rows
    ]
    held = all(row.outcome != "broken" for row in rows)
    return json.dumps({"held": held, "rows": listed}, indent=1)
