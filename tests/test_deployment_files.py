"""Do the files for containers name settings and options that exist? Without any tool.

`make charts` looks at what they become (`tests/charts`).
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest

from bff.cli import serve
from bff.config import secret_files
from bff.config.loading import setting_names

ROOT = Path(__file__).resolve().parents[1]
FILES = [
    ROOT / "Dockerfile",
    *ROOT.glob("compose*.yaml"),
    *(ROOT / "deploy/compose").iterdir(),
    *(path for path in (ROOT / "deploy/kubernetes").rglob("*") if path.is_file()),
]
SETTINGS = {*setting_names().values(), *secret_files.FILES}
SECRETS = {*secret_files.SECRETS, "AUTH0_CLIENT_SECRET"}
SERVES = re.compile(r"""\[\"?serve\b|^\s*- "?--[a-z-]+=|value: --""")
"""The command of the BFF on one line, or one of its options on a line of its own."""


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", FILES, ids=name)
def test_every_setting_that_is_named_exists(path: Path) -> None:
    named = set(re.findall(r"\b(?:AUTH0|BFF|OIDC|REDIS_URL)(?:_[A-Z0-9]+)*\b", path.read_text()))
    assert {one for one in named if "_" in one} <= SETTINGS | {"AUTH0_CLIENT_PRIVATE_KEY"}


@pytest.mark.parametrize("path", [one for one in FILES if "chart" not in one.parts], ids=name)
def test_no_secret_has_its_value_there(path: Path) -> None:
    assert not re.search(rf'\b(?:{"|".join(SECRETS)})[:=] *"?[^"\s#]', path.read_text())


def test_every_option_exists() -> None:
    parser = argparse.ArgumentParser()
    serve.add_arguments(parser)
    known = set(re.findall(r"--[a-z-]+", parser.format_help()))
    for path in FILES:
        for line in path.read_text().splitlines():
            named = re.findall(r"(?<![\w-])--[a-z][a-z-]*", line) if SERVES.search(line) else []
            assert set(named) <= known, f"{name(path)}: {line}"
