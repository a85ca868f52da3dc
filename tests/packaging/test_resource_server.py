"""What APIs need is a distribution of its own, and lives beside the BFF's."""

from __future__ import annotations

import json
import re
import subprocess
import sysconfig
from pathlib import Path
from zipfile import ZipFile

import pytest
import requests

from tests.packaging.conftest import ROOT, UV, empty_environment
from tests.support.cluster import AUDIENCE, TIMEOUT_SECONDS, Cluster
from tests.support.processes import Process

SERVE = """
import json
from wsgiref.simple_server import make_server
from api import application
server = make_server("127.0.0.1", 0, application)
print(json.dumps({"ready": True, "port": server.server_port}), flush=True)
server.serve_forever()
"""
WHERE = "import bff.resource_server as one; print(one.__file__, *one.__all__)"
EXPORTS = "AccessRefused IssuerKeys TokenGuard"


@pytest.fixture(scope="module")
def python(api_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of an environment with nothing else."""
    return empty_environment(tmp_path_factory.mktemp("api"), api_wheel)


def output_of(*command: str | Path, env: dict[str, str] | None = None) -> str:
    ended = subprocess.run(command, env=env or {}, cwd="/", capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


def test_an_api_without_a_framework_refuses_a_token_after_the_logout(python: Path) -> None:
    with Cluster(api_url="http://127.0.0.1:1") as cluster:
        env = cluster.api_environment() | {"ISSUER": cluster.issuer, "AUDIENCE": AUDIENCE}
        command = [str(python), "-c", SERVE]
        folder = ROOT / "docs/examples/wsgi"
        with Process(command, name="the API", env=env, cwd=folder) as api:
            url = f"http://127.0.0.1:{api.wait_ready(TIMEOUT_SECONDS)['port']}/"

            def ask(**headers: str) -> requests.Response:
                return requests.get(url, headers=headers, timeout=TIMEOUT_SECONDS)

            missing = ask()
            assert (missing.status_code, missing.json()["code"]) == (401, "token_missing")
            assert missing.headers["WWW-Authenticate"] == 'Bearer realm="api"'
            browser = cluster.browser()
            browser.log_in()
            copied = f"Bearer {cluster.issued('access_token')[-1]['value']}"
            assert ask(Authorization=copied).text == "auth0|demo"
            assert browser.log_out().ok
            assert ask(Authorization=copied).json()["code"] == "invalid_token"
            cluster.redis.stop()
            assert ask(Authorization=copied).json()["code"] == "store_unavailable"


def test_only_what_the_document_names_comes_with_it(python: Path) -> None:
    listing = [str(UV), "pip", "list", "--format", "json", "--python", str(python)]
    listed = {one["name"] for one in json.loads(subprocess.check_output(listing, text=True))}
    document = (ROOT / "docs/apis.md").read_text()
    [told] = re.findall(r"`pip list` shows ([^.]+)\.", document)
    assert listed == set(re.findall(r"`([a-z0-9-]+)`", told))


def test_it_is_named_as_in_the_bff_and_needs_none_of_it(python: Path) -> None:
    assert output_of(python, "-c", WHERE).endswith(f"/bff/resource_server.py {EXPORTS}")


def test_each_is_whole_without_the_other(wheel: Path, api_wheel: Path, tmp_path: Path) -> None:
    files = [set(ZipFile(one).namelist()) for one in (wheel, api_wheel)]
    assert not files[0] & files[1]
    python = empty_environment(tmp_path)
    # What they need is taken from here.
    env = {"PYTHONPATH": sysconfig.get_path("purelib")}

    def change(*arguments: str | Path) -> None:
        command = [UV, "pip", *arguments, "--quiet", "--python", python]
        subprocess.run(list(map(str, command)), check=True)

    def imported() -> str:
        file, _, exports = output_of(python, "-c", WHERE, env=env).partition(" ")
        assert exports == EXPORTS
        return Path(file).name

    change("install", "--no-deps", wheel, api_wheel)
    assert imported() == "__init__.py"
    change("uninstall", "bff-resource-server")
    assert imported() == "__init__.py"
    assert output_of(python.parent / "bff", "--version", env=env).startswith("bff ")
    change("install", "--no-deps", api_wheel)
    change("uninstall", "bff")
    assert imported() == "resource_server.py"
