"""The wheel is whole: what it installs serves its pages and its module, without the repository."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

import bff
from bff.config import trace_options
from bff.core.version import __version__

ROOT = Path(bff.__file__).parent.parent
ASK = """
import sys
from bff.app.factory import create_app
client = create_app().test_client()
page = client.get("/auth/callback?code=c&state=s", headers={"Accept": "text/html"})
print(page.status_code, page.text.count("<!doctype html>"), page.text.count("auth/pages.css"))
for asset in ("client.js", "client.d.ts", "pages.css", "cookies.js"):
    print(asset, client.get(f"/auth/{asset}").status_code)
sys.stdout.flush()
"""
SETTINGS = {
    "OIDC_ISSUER": "http://127.0.0.1:7/", "AUTH0_CLIENT_ID": "c", "AUTH0_CLIENT_SECRET": "s" * 32,
    "AUTH0_SECRET": "7f3a9c51e2b84d06a1c5f0937be6d248", "APP_BASE_URL": "http://localhost:8000",
    "BFF_API_URL": "http://127.0.0.1:7", "REDIS_URL": "redis://127.0.0.1:7",
}  # fmt: skip


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--no-deps", "--target", str(folder), str(wheel)], check=True)
    return folder


def output_of(installed: Path, *command: str) -> str:
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(installed)} | SETTINGS
    ended = subprocess.run(command, env=environ, cwd=installed, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_it_has_every_file_of_the_package_and_the_templates(wheel: Path) -> None:
    files = {name for name in ZipFile(wheel).namelist() if ".dist-info/" not in name}
    tracked = ["git", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard", "bff", "templates"]
    there = subprocess.run(tracked, check=True, capture_output=True, text=True).stdout.split()
    expected = {one.replace("templates/", "bff/templates/", 1) for one in there}
    assert files == expected | {"bff/py.typed"}, "so that type checkers believe its hints"


def test_the_extra_brings_what_traces_need_and_nothing_else_does(wheel: Path) -> None:
    with ZipFile(wheel) as opened:
        [file] = (name for name in opened.namelist() if name.endswith(".dist-info/METADATA"))
        fields = opened.read(file).decode().partition("\n\n")[0].splitlines()
    assert [one for one in fields if one.startswith("Provides-Extra")] == ["Provides-Extra: otel"]
    told = {one.partition(": ")[2] for one in fields if "opentelemetry" in one}
    assert told == {f"{one}<2,>=1.45; extra == 'otel'" for one in trace_options.PACKAGES}


def test_the_command_tells_its_version(installed: Path) -> None:
    assert output_of(installed, f"{installed}/bin/bff", "--version") == f"bff {__version__}\n"


def test_pages_and_files_come_with_it(installed: Path) -> None:
    assert output_of(installed, sys.executable, "-c", ASK).splitlines() == [
        "400 1 1", "client.js 200", "client.d.ts 200", "pages.css 200", "cookies.js 200",
    ]  # fmt: skip
