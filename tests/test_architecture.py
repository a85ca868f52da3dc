"""Does the code keep the rules of the house that import-linter can't express?

Which file may import which is in `pyproject.toml` (`make check` asks import-linter).
"""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import bff
from bff.core.errors import BFFError

ROOT = Path(__file__).resolve().parent.parent
MAX_LINES = 300
MAX_TEST_LINES = 400
"""A table of hostile input is long, and easy to read all the same."""
LONGER_FILES: dict[str, str] = {}
"""Path and reason. Any other file that outgrows the limit becomes a package of the same name."""

FORBIDDEN_NAMES = re.compile(r"(^|_)(utils?|helpers?|managers?|misc|common)($|_)")
READS_THE_ENVIRONMENT = {
    "bff/config/loading.py": "reads the settings",
    "bff/cli/serve.py": "takes the secrets out of a worker's environment",
    "bff/app/traces/set_up.py": "gives OpenTelemetry its variables of .env",
    "bff/gateway/request_headers.py": "tells the server's variables from the client's fields",
}


def python_files(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted((ROOT / folder).rglob("*.py"))
    yield ROOT / "wsgi.py"


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def production_files() -> list[Path]:
    return list(python_files("bff"))


def imported(tree: ast.AST) -> Iterator[str]:
    """Every module that is imported anywhere in *tree*, with what is taken from it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name their module in full"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@pytest.mark.parametrize("path", production_files(), ids=name)
def test_production_code_imports_neither_tests_nor_the_demo(path: Path) -> None:
    """An image of the product leaves both folders out."""
    assert not {one for one in imported(parsed(path)) if re.match(r"(tests|demo)\b", one)}


def test_a_production_start_loads_nothing_of_the_demo() -> None:
    """ASVS 15.2.3."""
    code = "import sys, bff.app.factory, bff.cli.main; print('demo' in sys.modules)"
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert told.stdout.strip() == "False"


@pytest.mark.parametrize("path", sorted((ROOT / "demo").rglob("*.py")), ids=name)
def test_the_demo_knows_nothing_of_the_rest(path: Path) -> None:
    """It starts the BFF as anybody would: as a process, with settings.

    Its API uses the module that is there for APIs, as theirs would.
    """
    found = {one for one in imported(parsed(path)) if one.split(".")[0] in ("bff", "tests")}
    if name(path).startswith("demo/api/"):
        found.discard("bff.resource_server.TokenGuard")
    assert not found


@pytest.mark.parametrize("path", sorted((ROOT / "tests/support").rglob("*.py")), ids=name)
def test_what_all_tests_share_needs_no_browser(path: Path) -> None:
    """Else the tests of an API would load playwright; two files are for a browser."""
    browsers_own = {"browser_record.py", "chromium.py"}
    found = {
        one for one in imported(parsed(path)) if one.startswith(("tests.browser", "playwright"))
    }
    assert not found or path.name in browsers_own


def test_the_module_for_apis_loads_nothing_of_the_rest() -> None:
    """Neither the settings nor what they are checked with; but it needs what it says."""
    code = "import sys, bff.resource_server; print(*sorted(m.split('.')[0] for m in sys.modules))"
    code += "; print(*sorted(m for m in sys.modules if m.startswith('bff.')))"
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    libraries, own = told.stdout.splitlines()
    # Flask is for APIs in Flask.
    others = {"pydantic", "msgspec", "authlib", "pycurl", "flask", "werkzeug"}
    assert not others & set(libraries.split())
    assert {"joserfc", "redis", "requests"} <= set(libraries.split())
    loaded = {module for module in own.split() if not module.startswith("bff.core.errors")}
    assert loaded == {
        "bff.core", "bff.core.keyed_hashes", "bff.core.signing_keys", "bff.core.unknown_keys",
        "bff.resource_server", "bff.resource_server.access_refused", "bff.resource_server.bearer",
        "bff.resource_server.dpop_proof", "bff.resource_server.issuer_keys",
        "bff.resource_server.request_url", "bff.resource_server.revoked_tokens",
        "bff.resource_server.schemes", "bff.resource_server.token_guard",
        "bff.resource_server.token_names", "bff.resource_server.used_proofs",
        "bff.resource_server.verification",
    }  # fmt: skip


def subclasses(root: type[BFFError]) -> Iterator[type[BFFError]]:
    for leaf in root.__subclasses__():
        yield leaf
        yield from subclasses(leaf)


def test_every_error_is_defined_in_one_package() -> None:
    modules = [module.name for module in pkgutil.walk_packages(bff.__path__, "bff.")]
    for module in modules:
        if module != "bff.__main__":
            importlib.import_module(module)
    errors = [error for error in subclasses(BFFError) if error.__module__ in modules]
    assert len(errors) > 40
    assert {error.__module__ for error in errors} == {
        f"bff.core.errors.{file}"
        for file in ("provider", "request", "root", "session", "sign_in", "store", "token")
    }


@pytest.mark.parametrize(
    "path", sorted(set(python_files("bff", "demo", "tests", "benchmarks"))), ids=name
)
def test_a_file_answers_one_question(path: Path) -> None:
    """It isn't long, its name says something, and its docstring comes first."""
    lines = len(path.read_text().splitlines())
    assert lines <= limit(path) or name(path) in LONGER_FILES, f"{lines} lines"
    assert not FORBIDDEN_NAMES.search(path.stem)
    if path.stem != "__init__" or lines:
        assert ast.get_docstring(parsed(path)), "the module has no docstring"


def limit(path: Path) -> int:
    return MAX_TEST_LINES if path.stem.startswith("test_") else MAX_LINES


def test_the_list_of_longer_files_is_up_to_date() -> None:
    for path in LONGER_FILES:
        assert len((ROOT / path).read_text().splitlines()) > limit(ROOT / path)


@pytest.mark.parametrize("path", production_files(), ids=name)
def test_only_the_settings_read_the_environment(path: Path) -> None:
    reads = {
        node.attr
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
        and node.attr in {"environ", "environb", "getenv", "putenv", "unsetenv"}
    }
    from_os = {one for one in imported(parsed(path)) if re.match(r"os\.(environ|getenv)", one)}
    assert bool(reads | from_os) == (name(path) in READS_THE_ENVIRONMENT)


def test_what_a_module_shares_is_made_anew_for_each_setting_of_the_session_cache() -> None:
    """pytest does that for fixtures that depend on the setting, and for no others."""
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        text = path.read_text()
        if "pytestmark = pytest.mark.session_cache" not in text:
            continue
        starts = re.findall(
            r'scope="module"\)\ndef \w+\(([^)]*)\)[^:]*:(?:(?!\ndef ).)*?with Cluster\(', text, re.S
        )
        assert all("session_cache" in arguments for arguments in starts), name(path)
