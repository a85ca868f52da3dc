"""Does the prose of the documents and of the docstrings name what exists, and numbers as they are?

`test_readme.py` compares README.md and the tables; this compares numbers, words and file names.
"""

from __future__ import annotations

import ast
import importlib
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from bff.core.version import __version__
from tests.test_readme import NOT_OURS, ROOT, code, documents, name, table, text

OUR_WORDS = [
    "watermark", "tombstone", "outbox", "intent", "drain", "sweep", "deny-list", "generation",
    "attempt", "cache lease", "place",
]  # fmt: skip
IN_A_FOLDER = re.compile(r"(?<![\w/.-])(?:bff|demo|tests|docs|benchmarks|deploy)/[\w./-]*\w\.\w+")
ABSENT = re.compile(
    "|".join(
        (r"DES\u0049GN", r"LIBRAR\u0049ES", r"FA\u0043TS", r"\bP\u0045ERS\b", r"\bHO\u0055SE\b")
    )
)
"""Notes that are no part of the repository; written so that this file doesn't name them."""
RECIPES = ["setting", "endpoint", "token mode", "provider's quirk", "audit event", "Redis key"]

# ---------------------------------------------------------------- numbers
ARCHITECTURE = [path for path in documents() if "docs/architecture" in path.as_posix()]
NUMBERS_AT_LEAST = 15
CONSTANT = r"(?:[a-z_0-9]+\.)?[A-Z]+(?:_[A-Z]+)+|[a-z_0-9]+\.[A-Z]+"
QUOTED = re.compile(
    r"\b(?P<numbers>[\d.]+(?:(?:, | and )[\d.]+)*) (?P<unit>[a-z]\w*)[\w ]*"
    rf" \(`(?P<constant>{CONSTANT})`"
)
NOT_CONSTANTS = re.compile(r"(?:AUTH0|BFF|OIDC|APP|REDIS)_\w+")
UNITS = {
    "SECONDS": {"second": 1, "minute": 60, "hour": 3600, "day": 86_400},
    "BYTES": {"byte": 1, "KiB": 1024, "MiB": 1024 * 1024},
}


def constants(document: str) -> list[str]:
    """The constants of the code that a document names in backticks."""
    return [one for one in re.findall(rf"`({CONSTANT})`", document) if not NOT_CONSTANTS.match(one)]


@cache
def modules_with(constant: str) -> list[str]:
    """The modules of bff that define *constant* at their top."""
    found = []
    for path in sorted((ROOT / "bff").rglob("*.py")):
        targets = (
            target
            for node in ast.parse(path.read_text()).body
            if isinstance(node, ast.Assign)
            for target in node.targets
        )
        if any(isinstance(target, ast.Name) and target.id == constant for target in targets):
            found.append(".".join(path.relative_to(ROOT).with_suffix("").parts))
    return found


def value_of(constant: str) -> Any:
    """The value of `CONSTANT`, or of `module.CONSTANT` where several modules have one."""
    module, _, attribute = constant.rpartition(".")
    found = [one for one in modules_with(attribute) if not module or one.endswith(f".{module}")]
    assert len(found) == 1, f"{constant} is in {found or 'no module'}: say which"
    return getattr(importlib.import_module(found[0]), attribute)


def expected(constant: str, unit: str) -> tuple[float, ...]:
    """The value of *constant*, one or several numbers, in *unit*."""
    value = value_of(constant)
    sizes = UNITS.get(constant.rpartition("_")[2], {})
    size = sizes.get(unit, sizes.get(unit.removesuffix("s"))) if sizes else 1
    assert size, f"{constant} is not in {unit}"
    return tuple(one / size for one in (value if isinstance(value, tuple) else (value,)))


@pytest.mark.parametrize("path", ARCHITECTURE, ids=name)
def test_a_number_beside_a_constant_is_that_of_the_code(path: Path) -> None:
    prose = " ".join(path.read_text().split())
    quoted = list(QUOTED.finditer(prose))
    assert [match["constant"] for match in quoted] == constants(prose), "a number, its unit, (`…`)"
    for match in quoted:
        numbers = tuple(float(one) for one in re.split(r", | and ", match["numbers"]))
        assert numbers == pytest.approx(expected(match["constant"], match["unit"])), match[0]


def test_the_architecture_says_where_its_numbers_come_from() -> None:
    named = {one for path in ARCHITECTURE for one in constants(path.read_text())}
    assert len(named) >= NUMBERS_AT_LEAST


def test_a_wrong_number_would_be_found() -> None:
    match = QUOTED.search("1, 2, 4 and 8 seconds (`BACKOFF_SECONDS`), the last repeated")
    assert match
    assert expected("BACKOFF_SECONDS", match["unit"]) == (1, 2, 4, 6)
    assert match["numbers"] == "1, 2, 4 and 8"


def test_the_version_is_that_of_the_newest_dated_release() -> None:
    [unreleased, newest, *_] = re.findall(r"^## \[(.+)\](.*)$", text("CHANGELOG.md"), re.MULTILINE)
    assert unreleased == ("Unreleased", "")
    assert re.fullmatch(r" - \d{4}-\d\d-\d\d", newest[1])
    assert newest[0] == __version__


def test_no_change_is_listed_twice() -> None:
    """As the merge of two branches that both have it leaves it."""
    first_lines = re.findall(r"^- .+$", text("CHANGELOG.md"), re.MULTILINE)
    assert len(first_lines) > 100
    assert [one for one in set(first_lines) if first_lines.count(one) > 1] == []


# ---------------------------------------------------------------- words and recipes
def test_every_word_of_our_own_is_explained_with_its_file() -> None:
    rows = table("docs/glossary.md", "Glossary")
    assert [row[0] for row in rows] == OUR_WORDS
    for _, meaning, file in rows:
        assert meaning
        assert all((ROOT / one).is_file() for one in code(file)), file
        assert code(file)


def test_there_is_a_recipe_for_every_kind_of_change() -> None:
    headings = re.findall(r"^## An? (.+)$", text("docs/how-to-change.md"), re.MULTILINE)
    assert headings == RECIPES


# ---------------------------------------------------------------- what is referred to
@pytest.mark.parametrize("path", documents(), ids=name)
def test_every_test_that_is_named_exists(path: Path) -> None:
    named = re.findall(r"`(test_\w+\.py)`", path.read_text())
    assert not {one for one in named if not list((ROOT / "tests").rglob(one))}


# ---------------------------------------------------------------- what code and comments refer to
def ours(*suffixes: str) -> list[Path]:
    """The files of the repository that end so; not those of npm, nor in hidden folders."""
    found = (path for suffix in suffixes for path in ROOT.rglob(f"*{suffix}"))
    parts = ((path, path.relative_to(ROOT).parts) for path in found)
    return sorted(path for path, names in parts if not any(map(NOT_OURS.match, names)))


def prose(path: Path) -> Iterator[str]:
    """The docstrings and comments of a Python file."""
    source = path.read_text()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield str(node.value.value)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.string


@pytest.mark.parametrize("folder", ["bff", "demo", "tests", "benchmarks", "docs"])
def test_every_file_that_a_comment_names_exists(folder: str) -> None:
    missing = []
    for path in sorted((ROOT / folder).rglob("*.py")):
        for words in prose(path):
            for file in re.findall(r"(?<![\w/.:-])[\w./-]*\w\.md\b", words) + IN_A_FOLDER.findall(
                words
            ):
                if "X_Y_Z" not in file and not (ROOT / file).exists():
                    missing.append(f"{name(path)}: {file}")
    assert not missing


@pytest.mark.parametrize("suffix", [".py", ".md", ".toml", ".conf", ".yml", ".js", ".mjs", ".html"])
def test_nothing_refers_to_a_document_that_is_not_here(suffix: str) -> None:
    assert ABSENT.search(f"Source: DES{chr(73)}GN, section 6.")
    assert not [name(path) for path in ours(suffix) if ABSENT.search(path.read_text())]
