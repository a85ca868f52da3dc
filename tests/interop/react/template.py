"""How does a test get an app of Vite's newest template `react-ts`, typed in as docs/spa.md says?"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
MODULES = HERE / "node_modules"
TEMPLATE = MODULES / "create-vite/template-react-ts"
TIMEOUT_SECONDS = 180


def document_block(language: str, containing: str) -> str:
    """The only code block of docs/spa.md in *language* that contains a text."""
    document = (ROOT / "docs/spa.md").read_text()
    blocks = re.findall(rf"^```{language}\n(.*?)^```", document, re.DOTALL | re.MULTILINE)
    [block] = [one for one in blocks if containing in one]
    return str(block)


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """What a tool of node_modules says."""
    program = MODULES / ".bin" / command[0]
    if not program.exists():
        pytest.fail("tests/interop/react/node_modules is missing; run `make interop`.")
    return subprocess.run(
        [str(program), *command[1:]],
        cwd=folder, capture_output=True, text=True, check=False, timeout=TIMEOUT_SECONDS,
    )  # fmt: skip


def from_document(folder: Path) -> Path:
    """The template, and what docs/spa.md says to put into it."""
    if not TEMPLATE.is_dir():
        pytest.fail("tests/interop/react/node_modules is missing; run `make interop`.")
    shutil.copytree(TEMPLATE, folder)
    (folder / "node_modules").symlink_to(MODULES)
    shutil.copy(ROOT / "bff/web/static/client.d.ts", folder / "src/bff-client.d.ts")
    (folder / "src/App.tsx").write_text(document_block("tsx", "export default function App"))
    (folder / "vite.config.ts").write_text(document_block("ts", "bffClient"))
    add_compiler_options(folder, json.loads(document_block("json", "client.d.ts")))
    return folder


def add_compiler_options(folder: Path, more: dict[str, Any]) -> None:
    """Type *more* into the template's `tsconfig.app.json`, whose comments are no JSON."""
    file = folder / "tsconfig.app.json"
    config = json.loads(re.sub(r"/\*.*?\*/", "", file.read_text()))
    config["compilerOptions"] |= more["compilerOptions"]
    file.write_text(json.dumps(config))


def build(folder: Path) -> Path:
    """Check the types and build, as `npm run build` does; the folder with the result."""
    for command in (("tsc", "-b"), ("vite", "build")):
        told = run(folder, *command)
        assert told.returncode == 0, told.stdout + told.stderr
    return folder / "dist"
