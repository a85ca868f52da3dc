"""Is what docs/routes.md says of the routes file true of the code?

`python -m tests.test_routes_document` prints the table of keys as the document must have it.
"""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from typing import Any, get_args

import pytest

from bff.config import load, route_entry
from bff.config.route import RESERVED_SEGMENTS, TokenMode
from bff.config.route_entry import RouteEntry
from bff.gateway.request_headers import WITH_EVERY_LIST
from tests.test_readme import code, table, text

DOCUMENT = "docs/routes.md"
ENVIRON = {
    "AUTH0_DOMAIN": "example.eu.auth0.com",
    "AUTH0_CLIENT_ID": "client",
    "AUTH0_CLIENT_SECRET": "secret",
    "AUTH0_SECRET": "k" * 64,
    "APP_BASE_URL": "https://app.example.com",
    "ORDERS_CLIENT_SECRET": "secret",
}


def keys() -> list[list[str]]:
    """Name, default and meaning of every key, as the code has them."""
    body = next(
        node.body
        for node in ast.parse(inspect.getsource(route_entry)).body
        if isinstance(node, ast.ClassDef)
    )
    rows = []
    for field, following in zip(body, body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            name = field.target.id
            assert isinstance(following, ast.Expr), f"{name} has no docstring"
            assert isinstance(following.value, ast.Constant)
            meaning = " ".join(str(following.value.value).split())
            rows.append([f"`{name}`", default(RouteEntry.model_fields[name]), meaning])
    return rows


def default(info: Any) -> str:
    if info.is_required():
        return "required"
    if info.description:
        return str(info.description)
    value = info.default
    if value in (None, (), ""):
        return "none"
    if isinstance(value, tuple):
        return ", ".join(f"`{one}`" for one in value)
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def test_the_table_of_keys_is_that_of_the_code() -> None:
    assert table(DOCUMENT, "Keys") == keys()
    assert len(keys()) == len(RouteEntry.model_fields)


def test_there_is_a_recipe_for_every_mode() -> None:
    modes = [code(row[0])[0] for row in table(DOCUMENT, "Which token")]
    assert modes == list(get_args(TokenMode))
    headings = re.findall(r"^### `(\w+)`", text(DOCUMENT), re.MULTILINE)
    assert headings == modes


def examples() -> list[str]:
    return re.findall(r"^```toml\n(.*?)^```", text(DOCUMENT), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("example", examples(), ids=range(len(examples())))
def test_every_example_can_be_used_as_it_stands(example: str, tmp_path: Path) -> None:
    file = tmp_path / "routes.toml"
    file.write_text(example)
    assert load(ENVIRON | {"BFF_ROUTES_FILE": str(file)}).routes


def test_the_examples_use_every_mode() -> None:
    used = set(re.findall(r'^token = "(\w+)"', "\n".join(examples()), re.MULTILINE))
    assert used == set(get_args(TokenMode))


def test_what_is_named_is_complete() -> None:
    told = text(DOCUMENT)
    for folder in RESERVED_SEGMENTS:
        assert f"`/{folder}`" in told
    for name in WITH_EVERY_LIST:
        assert f"`{name}`" in told.lower()


if __name__ == "__main__":
    for cells in keys():
        print("| " + " | ".join(cells) + " |")
