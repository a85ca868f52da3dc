"""Does docs/asvs.md cite what exists, and leave nothing without a reason?"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from tests.test_readme import ROOT, table, text

DOCUMENT = "docs/asvs.md"
VERDICTS = ["met", "partly", "not met", "provider", "yours", "not offered"]
APPLY = {"1": 50, "2": 125, "3": 56}
"""How many requirements apply, by their level."""
LINK = re.compile(r"\[([^\]]+)\]\(([^)#]+)(?:#[^)]*)?\)")
ROW = re.compile(r"^\| (\d+\.\d+\.\d+) \| (.+) \| ([123]) \| ([a-z ]+) \| (.*) \|$", re.MULTILINE)

rows = ROW.findall(text(DOCUMENT))


def test_every_requirement_that_applies_has_one_row() -> None:
    assert Counter(level for _, _, level, _, _ in rows) == APPLY
    assert len({number for number, *_ in rows}) == len(rows)
    numbers = [tuple(map(int, number.split("."))) for number, *_ in rows]
    assert numbers == sorted(numbers)


def test_the_sums_are_those_of_the_rows() -> None:
    found = Counter((f"L{level}", verdict) for _, _, level, verdict, _ in rows)
    for level, *sums in table(DOCUMENT, "OWASP ASVS 5.0.0"):
        assert sums == [str(found[level, verdict]) for verdict in VERDICTS]


@pytest.mark.parametrize("row", rows, ids=lambda row: str(row[0]))
def test_what_a_row_cites_exists(row: tuple[str, str, str, str, str]) -> None:
    number, _, level, verdict, shown = row
    cited = LINK.findall(shown)
    assert verdict in VERDICTS
    assert shown, "a reason, if nothing shows it"
    assert cited or verdict != "met"
    assert LINK.sub("", shown).strip(" ;.") or verdict in ("met", "provider"), "what is missing?"
    assert level != "1" or verdict not in ("partly", "not met"), number
    for label, target in cited:
        path = (ROOT / Path(DOCUMENT).parent / target).resolve()
        assert path.is_file(), target
        if "/tests/" in target:
            assert f"def test_{label}(" in path.read_text(), label
