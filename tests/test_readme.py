"""Is what README.md and docs/ say true of the code?

Tables are compared with what they describe, links with the files, commands with `make help`.
`python -m tests.test_readme` prints the table of settings as docs/settings.md must have it.
"""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_type_hints
from urllib.parse import unquote

import pytest
from pydantic import SecretStr

import bff
from bff.app.factory import create_app
from bff.cli.main import MOVED, _parser
from bff.config import Config, load, secret_files
from bff.config import settings as settings_module
from bff.core import audit
from bff.core.background import Background
from bff.core.errors import BFFError
from bff.core.model import Group
from bff.machine_api import auth0_log_stream
from tests.support.application import stop
from tests.test_requirements import asked_for

ROOT = Path(__file__).resolve().parent.parent
NOT_OURS = re.compile(r"\.|node_modules$")
README_MAX_LINES = 150
PICTURE_MAX_BYTES = 300_000
INDEXED = set(get_args(get_type_hints(Group)["kind"])) - {"everyone"}


def documents() -> list[Path]:
    folders = ((path, path.relative_to(ROOT).parts) for path in ROOT.rglob("*.md"))
    found = [path for path, parts in folders if not any(NOT_OURS.match(part) for part in parts)]
    assert ROOT / "README.md" in found
    return sorted(found)


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def text(path: str) -> str:
    return (ROOT / path).read_text()


def table(path: str, heading: str) -> list[list[str]]:
    """The rows of the first table below *heading*, without its head."""
    _, found, below = text(path).partition(f"# {heading}\n")
    assert found, f"{path} has no heading {heading!r}"
    lines = below[below.index("\n|") :].strip().split("\n\n", 1)[0].splitlines()
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines]
    return [[cell.strip().replace("\\|", "|") for cell in row] for row in rows[2:]]


def code(cell: str) -> list[str]:
    """What stands between backticks."""
    return re.findall(r"`([^`]+)`", cell)


# ---------------------------------------------------------------- README itself
def test_the_readme_can_be_read_at_one_sitting() -> None:
    assert len(text("README.md").splitlines()) <= README_MAX_LINES


def test_the_readme_shows_the_map_of_the_package() -> None:
    """`bff/__init__.py` has it; its lines are indented there and fenced here."""
    docstring = inspect.getdoc(bff) or ""
    map_of_code = re.findall(r"^    (.*)$", docstring, re.MULTILINE)
    shown = text("README.md").partition("## Where to find what\n")[2].split("```\n")[1]
    assert shown.splitlines() == map_of_code


# ---------------------------------------------------------------- settings
def settings() -> list[list[str]]:
    """Variable, default and meaning of every setting, as the code has them."""
    body = next(
        node.body
        for node in ast.parse(inspect.getsource(settings_module)).body
        if isinstance(node, ast.ClassDef)
    )
    rows = []
    for field, following in zip(body, body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            info = Config.model_fields[field.target.id]
            assert isinstance(following, ast.Expr), f"{info.alias} has no docstring"
            assert isinstance(following.value, ast.Constant)
            meaning = " ".join(str(following.value.value).split())
            # The code names files from the root, a document from its own folder.
            meaning = meaning.replace("](docs/", "](")
            rows.append([f"`{info.alias}`", default(info), meaning])
    return rows


def default(info: Any) -> str:
    if info.is_required():
        return "required"
    value = info.default
    if value is None or value == ():
        return "none"
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if isinstance(value, tuple):
        value = ", ".join(value)
    if isinstance(value, bool):
        value = str(value).lower()
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def test_the_settings_table_is_that_of_the_code() -> None:
    assert table("docs/settings.md", "Settings") == settings()
    assert len(settings()) == len(Config.model_fields)


def test_the_example_of_the_settings_names_only_real_ones_and_all_required_ones() -> None:
    named = set(re.findall(r"^#?([A-Z0-9_]+)=", text(".env.example"), re.MULTILINE))
    assert named <= {str(field.alias) for field in Config.model_fields.values()}
    required = {str(f.alias) for f in Config.model_fields.values() if f.is_required()}
    assert required <= named


# ---------------------------------------------------------------- endpoints
@pytest.fixture
def config() -> Config:
    return load(
        {
            "AUTH0_DOMAIN": "example.eu.auth0.com",
            "AUTH0_CLIENT_ID": "client",
            "AUTH0_CLIENT_SECRET": "secret",
            "AUTH0_SECRET": "k" * 64,
            "APP_BASE_URL": "https://app.example.com",
            "BFF_API_URL": "https://api.example.com",
            # What is off unless it is configured, too.
            "BFF_ADMIN_KEY": "k" * 32,
            "BFF_LOG_STREAM_KEY": "k" * 32,
            "BFF_SSF_ISSUER": "https://signals.example.com",
        }
    )


def endpoints(config: Config) -> Iterator[str]:
    app = create_app(config)
    stop(app)
    for rule in app.url_map.iter_rules():
        methods = sorted(rule.methods - {"HEAD", "OPTIONS"}) if rule.methods else ["ANY"]
        path = re.sub(r"<path:\w+>", "<path>", rule.rule)
        path = re.sub(r"<public_id>", "<id>", path)
        choice = re.search(r"<any\((.*)\):\w+>", path)
        names = re.findall(r"'([^']+)'", choice[1]) if choice else [""]
        for one in names:
            full = path.replace(choice[0], one) if choice else path
            # A prefix alone goes the same way as what is below it.
            full = {"/": "/<path>", "/api": "/api/<path>", "/api/": "/api/<path>"}.get(full, full)
            yield from (f"{method} {full}" for method in methods)


def test_the_endpoint_table_is_that_of_the_application(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Background, "start", lambda self: None)
    told = [code(row[0])[0] for row in table("docs/endpoints.md", "Endpoints")]
    assert sorted(told) == sorted(set(endpoints(config)))


# ---------------------------------------------------------------- promises
def test_every_promise_names_the_tests_that_bear_its_number() -> None:
    rows = table("docs/promises.md", "Promises")
    assert [row[0] for row in rows] == [str(number) for number in range(1, 12)]
    for number, _, shown in rows:
        files = re.findall(r"\]\(\.\./(tests/[^)]+)\)", shown)
        # What nothing shows yet is not promised by silence.
        assert bool(files) != ("not yet" in shown.lower()), f"promise {number}: {shown}"
        for file in files:
            assert f"def test_promise_{number}_" in text(file), f"{file} for promise {number}"


def test_the_readme_promises_nothing_else() -> None:
    """Its words begin those of docs/promises.md, and its one test is among the tests there."""
    short, full = table("README.md", "What it promises"), table("docs/promises.md", "Promises")
    assert [row[0] for row in short] == [row[0] for row in full]
    for (_, promise, shown), (_, whole, tests) in zip(short, full, strict=True):
        assert whole.startswith(promise.removesuffix("."))
        assert [f"../{file}" in tests for file in re.findall(r"\]\(([^)]+)\)", shown)] == [True]


# ---------------------------------------------------------------- dependencies
@pytest.mark.parametrize(
    ("heading", "file"),
    [
        ("In production", "requirements"),
        ("For traces, in production", "requirements-otel"),
        ("For the demo", "requirements-demo"),
        ("For tests and checks", "requirements-dev"),
    ],
)
def test_every_dependency_earns_its_place_in_one_line(heading: str, file: str) -> None:
    rows = table("docs/dependencies.md", heading)
    told = [one for row in rows for one in code(row[0])]
    assert sorted(told) == sorted(asked_for(file))
    assert all(row[1] for row in rows)


# ---------------------------------------------------------------- links and commands
@pytest.mark.parametrize("path", documents(), ids=name)
def test_every_link_leads_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(path.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = unquote(target).partition("#")
        found = (path.parent / file).resolve() if file else path
        assert found.exists(), target
        assert found.is_relative_to(ROOT), target
        if anchor:
            assert anchor in anchors(found), target


def without_code(markdown: str) -> str:
    return re.sub(r"```.*?```|`[^`\n]*`", "", markdown, flags=re.DOTALL)


def anchors(path: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in plain}


@cache
def make_targets() -> frozenset[str]:
    told = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    return frozenset(re.findall(r"^ +make (\w+)", told.stdout, re.MULTILINE))


@pytest.mark.parametrize("path", documents(), ids=name)
def test_every_command_exists(path: Path) -> None:
    targets = set(re.findall(r"(?:`|^)make ([a-z]\w*)", path.read_text(), re.MULTILINE))
    assert targets <= make_targets()
    commands = set(re.findall(r"python -m bff ([a-z][\w-]*)", path.read_text()))
    if path.name == "CHANGELOG.md":
        commands -= set(MOVED)
    help_text = _parser().format_help()
    assert commands <= set(re.findall(r"^    ([\w-]+)(?:  |$)", help_text, re.MULTILINE))
    programs = set(re.findall(r"python -m ((?:demo|tests|benchmarks)[\w.]*\w)", path.read_text()))
    assert not {one for one in programs if not runnable(one)}


def runnable(module: str) -> bool:
    file = ROOT / module.replace(".", "/")
    return (file / "__main__.py").exists() or file.with_suffix(".py").exists()


@pytest.mark.parametrize("path", documents(), ids=name)
def test_every_file_that_is_named_exists(path: Path) -> None:
    named = re.findall(r"`((?:bff|demo|tests|docs|templates|\.ci)/[\w./-]+)`", path.read_text())
    missing = [one for one in named if not (ROOT / one).exists()]
    assert not missing


@pytest.mark.parametrize("path", documents(), ids=name)
def test_every_variable_that_is_named_is_a_setting(path: Path) -> None:
    named = set(re.findall(r"\b(?:AUTH0|BFF|OIDC)_[A-Z0-9_]+\b", path.read_text()))
    known = {str(field.alias) for field in Config.model_fields.values()}
    assert named <= known | secret_files.FILES.keys() | {"BFF_TEST_SCALE"}


def test_the_picture_is_small() -> None:
    assert (ROOT / "docs/demo.png").stat().st_size < PICTURE_MAX_BYTES


# ---------------------------------------------------------------- audit, errors, keys, module
def test_the_audit_tables_are_those_of_the_code(caplog: pytest.LogCaptureFixture) -> None:
    events = [code(row[0])[0] for row in table("docs/audit.md", "Events")]
    assert sorted(events) == sorted(get_args(audit.Event))
    with caplog.at_level("INFO", "bff.audit"):
        audit.record("session_ended", "ok")
    fields = [code(row[0])[0] for row in table("docs/audit.md", "Fields")]
    assert fields == re.findall(r'"(\w+)":', caplog.messages[-1])


def errors(root: type[BFFError] = BFFError) -> Iterator[type[BFFError]]:
    """Every error of the application that is raised; branches of the tree are not."""
    if root is BFFError or "ever raised itself" not in str(root.__doc__):
        yield root
    for leaf in root.__subclasses__():
        if leaf.__module__.startswith("bff."):
            yield from errors(leaf)


def test_the_table_of_errors_is_that_of_the_code() -> None:
    told = [(code(row[0])[0], row[1]) for row in table("docs/errors.md", "Codes")]
    assert sorted(told) == sorted({(error.code, str(error.status)) for error in errors()})


def test_the_table_of_log_events_is_that_of_the_code() -> None:
    rows = table("docs/admin.md", "Log streams")
    told = {event: effect for types, _, effect in rows for event in code(types)}
    assert told == auth0_log_stream.EFFECTS


def test_the_table_of_keys_is_that_of_the_code() -> None:
    """Names and types, in the same order; and `store/keys.py` describes the names that it makes."""
    source = text("bff/store/keys.py")
    described = re.findall(r"`(\S+)`, (hash|string|sorted set): ", source)
    told = table("docs/architecture/redis.md", "What is in Redis")
    assert described == [(code(row[0])[0], row[1]) for row in told]
    parts = re.findall(r'\._name\("([^"]+)"(?:, "([^"]+)")?', source)
    # The indexes are named by the kind of their group; APIs look for the dead tokens' names, too.
    kinds = {":".join(filter(None, part)) for part in parts} | INDEXED
    kinds |= set(
        re.findall(r"_prefix\}:([a-z_{}]+):", text("bff/resource_server/revoked_tokens.py"))
    )
    names = [re.sub(r"(:[{<][^o].*)$", "", one) for one, _ in described]
    assert sorted(names) == sorted(kind.replace("{{", "{").replace("}}", "}") for kind in kinds)


def test_everything_that_the_browser_module_exports_is_described() -> None:
    module = text("bff/web/static/client.js")
    names = re.findall(r"^export (?:async )?(?:function|const|class) (\w+)", module, re.MULTILINE)
    told = [re.split(r"\W", code(row[0])[0])[0] for row in table("docs/spa.md", "The module")]
    assert sorted(told) == sorted(names)


def test_the_types_of_the_browser_module_are_up_to_date() -> None:
    """`make client-types` makes them from these comments, and copies them; interop compares all."""
    types, module = text("bff/web/static/client.d.ts"), text("bff/web/static/client.js")
    exported = re.findall(r"(/\*\*(?:(?!\*/).)*\*/)\nexport [acf]", module, re.DOTALL)
    assert len(exported) > 5
    for comment in [module[: module.index("*/")], *exported]:
        assert comment in types, "run make client-types"


if __name__ == "__main__":
    for cells in settings():
        print("| " + " | ".join(cells) + " |")
