"""What do the tests of the packages share? The wheels, and empty environments."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import bff

ROOT = Path(bff.__file__).parent.parent
UV = Path(sys.executable).parent / "uv"


def build(project: Path, folder: Path) -> Path:
    """The wheel of *project*, as `make dist` builds it."""
    command = [str(UV), "build", "--quiet", "--wheel", "--out-dir", str(folder), str(project)]
    subprocess.run(command, check=True)
    [wheel] = folder.glob("*.whl")
    return wheel


def empty_environment(folder: Path, *wheels: Path) -> Path:
    """A virtual environment in *folder* with these wheels, what they need, and nothing else."""
    python = folder / "bin/python"
    make = ["venv", "--quiet", "--clear", "--python", sys.executable, str(folder)]
    install = ["pip", "install", "--quiet", "--python", str(python), *map(str, wheels)]
    for step in [make, install] if wheels else [make]:
        subprocess.run([str(UV), *step], check=True)
    return python


@pytest.fixture(scope="package")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That of the BFF."""
    return build(ROOT, tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="package")
def api_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That of what APIs need."""
    return build(ROOT / "distributions/resource_server", tmp_path_factory.mktemp("dist"))
