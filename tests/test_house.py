"""Does a stranger find things where names say they are, and complete when they are made?

Rules of the layout that import-linter can't express; `tests/test_architecture.py` has those of
single files.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import bff

ROOT = Path(__file__).resolve().parent.parent
PRODUCT = sorted((ROOT / "bff").rglob("*.py"))
PARAMETERS_MAX = 7
FUNCTION_MAX_LINES = 30
TOP_MAX_ENTRIES = 16

WIRING = ("bff/app/factory.py", "bff/app/services.py")
ASSIGNED_IN_WIRING = re.compile(r"app\.(wsgi_app|session_interface|config\[.*\]|extensions\[.*\])")
"""What a Flask application is given after it was made; Flask knows no other way."""
LONGER_SIGNATURES = {
    "bff/resource_server/token_guard.py": "TokenGuard: APIs call it, so its arguments stay",
}
LONGER_FUNCTIONS = {
    "bff/app/services.py build_services": "the list of all services, read from top to bottom",
}
OWN_WORDS = re.compile(
    r"(^|_)(errands?|flights|verdicts?|inbox|lingering|holding|turns|entomb|burial|barred|replays?"
    r"|machines|dead|abandon|settle|epoch|utils?|helpers?|managers?|misc|common)($|_)"
)
"""The project's own words for what the field has a word for, and words that say nothing."""
OWN_WORDS_THAT_STAY = {
    "bff/gateway/lingering_close.py": "nginx's directive `lingering_close`",
    "bff/provider/http_transport.py": "`proxy_manager_for` is a method of requests' adapter",
}


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def functions(path: Path) -> Iterator[ast.FunctionDef]:
    return (node for node in ast.walk(parsed(path)) if isinstance(node, ast.FunctionDef))


def body_lines(function: ast.FunctionDef) -> int:
    """Lines of the body, without the docstring."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_a_newcomer_sees_few_names_at_the_top() -> None:
    # A folder of an earlier checkout may still hold compiled files.
    paths = [p for p in (ROOT / "bff").iterdir() if p.name != "__pycache__"]
    entries = [p for p in paths if p.is_file() or any(p.rglob("*.py"))]
    assert len(entries) <= TOP_MAX_ENTRIES, sorted(p.name for p in entries)


LAZY_EXPORTS = "bff/__init__.py"
"""Every module below it loads it, so it must not load them in turn."""


def test_the_lazy_exports_are_those_that_type_checkers_see() -> None:
    """And `__all__`, and none has another name where it is defined."""
    checked = next(node for node in parsed(ROOT / LAZY_EXPORTS).body if isinstance(node, ast.If))
    seen = {
        alias.name: one.module
        for one in checked.body
        if isinstance(one, ast.ImportFrom)
        for alias in one.names
    }
    assert seen == bff._MODULES
    assert sorted(seen) == bff.__all__
    for exported in bff.__all__:
        assert getattr(bff, exported) is not None


INIT_FILES = [p for p in PRODUCT if p.name == "__init__.py" and name(p) != LAZY_EXPORTS]


@pytest.mark.parametrize("path", INIT_FILES, ids=name)
def test_an_init_file_holds_a_docstring_and_exports_only(path: Path) -> None:
    docstring, *rest = parsed(path).body
    assert isinstance(docstring, ast.Expr)
    for node in rest:
        exports = isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
        assert exports or isinstance(node, ast.ImportFrom), ast.unparse(node)


@pytest.mark.parametrize("path", WIRING)
def test_what_the_wiring_has_made_it_changes_no_more(path: str) -> None:
    """Each part is complete when it is made, so the order of construction says who needs whom."""
    for node in ast.walk(parsed(ROOT / path)):
        targets = node.targets if isinstance(node, ast.Assign) else []
        for target in targets:
            if isinstance(target, ast.Attribute | ast.Subscript):
                assert ASSIGNED_IN_WIRING.fullmatch(ast.unparse(target)), ast.unparse(target)


def test_the_application_is_wired_with_objects() -> None:
    """A callable would hide which part is used; imports inside would hide what is loaded."""
    path = ROOT / "bff/app/factory.py"
    assert not [node.lineno for node in ast.walk(parsed(path)) if isinstance(node, ast.Lambda)]
    inside = [n for f in functions(path) for n in ast.walk(f)]
    assert not [n.lineno for n in inside if isinstance(n, ast.Import | ast.ImportFrom)]


@pytest.mark.parametrize("path", PRODUCT, ids=name)
def test_a_constructor_has_few_parameters(path: Path) -> None:
    longest = max(
        (
            len([*f.args.posonlyargs, *f.args.args, *f.args.kwonlyargs]) - 1
            for f in functions(path)
            if f.name == "__init__"
        ),
        default=0,
    )
    assert (longest > PARAMETERS_MAX) == (name(path) in LONGER_SIGNATURES), longest


@pytest.mark.parametrize("path", PRODUCT, ids=name)
def test_a_function_fits_on_a_screen(path: Path) -> None:
    for function in functions(path):
        called = f"{name(path)} {function.name}"
        lines = body_lines(function)
        assert lines <= FUNCTION_MAX_LINES or called in LONGER_FUNCTIONS, f"{called}: {lines}"


@pytest.mark.parametrize("path", PRODUCT, ids=name)
def test_names_are_the_words_of_the_field(path: Path) -> None:
    tree = parsed(path)
    names = {path.stem}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(snake(node.name))
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(snake(node.id))
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            names.add(node.attr)
    found = {one for one in names if OWN_WORDS.search(one)}
    assert not found or name(path) in OWN_WORDS_THAT_STAY, found


def snake(camel: str) -> str:
    """`TokenRenewal` as `token_renewal`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", camel).lower()


def test_one_place_chooses_the_token_by_the_mode_of_the_route() -> None:
    """A new mode takes its data, its rules, a file of its own, and one line there."""
    looking = {
        name(path)
        for path in PRODUCT
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Attribute) and node.attr == "mode"
    }
    assert looking == {
        "bff/cli/routes.py",  # shows it
        "bff/config/route.py",  # names it
        "bff/gateway/route_access.py",  # who may ask without a session
        "bff/gateway/step_up_challenge.py",  # whose sign-in the upstream means
        "bff/provider/route_grants.py",  # which requests and responses it has
        "bff/tokens/access_tokens.py",  # which token it is
    }
