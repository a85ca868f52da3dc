"""The path of a stranger: a wheel, a tenant's values, and the commands of docs/deploy.md.

In an empty environment, without the repository, until somebody is signed in at the own app. At full
scale `pip` makes the environment by the document's commands, too; else it is there already.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bff.core.version import __version__
from demo.provider.server import RunningProvider, start_provider
from demo.provider.settings import ClientSettings, ProviderSettings
from tests.cli.test_check import WRONG
from tests.packaging.conftest import ROOT, UV, empty_environment
from tests.support.browser_client import BrowserClient
from tests.support.cluster import EMAIL, PASSWORD
from tests.support.processes import Process, free_port
from tests.support.redis_server import RedisServer
from tests.support.scale import is_full

AUDIENCE = "https://api.example.com"
PAGE = "<!doctype html><title>The own app</title>"
INSTALL_SECONDS = 300
CASES = list(WRONG) if is_full() else ["secret"]


@pytest.fixture(scope="module")
def command(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The installed `bff`."""
    python = empty_environment(tmp_path_factory.mktemp("environment"), wheel)
    return f"{python.parent}/bff"


@pytest.fixture(scope="module")
def port() -> int:
    """Where it is to listen."""
    return free_port()


@pytest.fixture(scope="module")
def tenant(port: int) -> Iterator[RunningProvider]:
    """A provider that knows the application."""
    callback = f"http://localhost:{port}/auth/callback"
    client = ClientSettings("the-client", secrets.token_hex(16), (callback,))
    settings = ProviderSettings(port=0, clients=(client,), audiences=(AUDIENCE,))
    with start_provider(settings) as provider:
        yield provider


@pytest.fixture
def values(
    tenant: RunningProvider, port: int, redis_server: RedisServer, redis_prefix: str, tmp_path: Path
) -> Iterator[dict[str, str]]:
    """What a stranger has at hand, by the variables' names."""
    [client] = tenant.settings.clients
    (tmp_path / "app").mkdir()
    (tmp_path / "app/index.html").write_text(PAGE)
    with socket.create_server(("127.0.0.1", 0)) as upstream:
        yield {
            "OIDC_ISSUER": tenant.issuer,
            "AUTH0_CLIENT_ID": client.client_id,
            "AUTH0_CLIENT_SECRET": client.client_secret,
            "AUTH0_SECRET": secrets.token_hex(32),
            "AUTH0_AUDIENCE": AUDIENCE,
            "APP_BASE_URL": f"http://localhost:{port}",
            "BFF_API_URL": f"http://127.0.0.1:{upstream.getsockname()[1]}",
            "BFF_SPA_DIR": str(tmp_path / "app"),
            "REDIS_URL": redis_server.url,
            "BFF_REDIS_PREFIX": redis_prefix,
        }


def steps() -> list[str]:
    """The commands of the document: installing, then starting."""
    section = (ROOT / "docs/deploy.md").read_text().partition("## Installing\n")[2]
    blocks = re.findall(r"```\n(.*?)```", section.partition("\n## ")[0], re.DOTALL)
    return [line for block in blocks[:2] for line in block.splitlines()]


def dotenv(values: dict[str, str]) -> str:
    """`.env.example`, with the values put in; what isn't in it is added."""
    text, left = (ROOT / ".env.example").read_text(), dict(values)
    text = re.sub(r"^AUTH0_DOMAIN=.*\n", "", text, flags=re.MULTILINE)
    for name, value in values.items():
        text, found = re.subn(rf"^#?{name}=.*$", f"{name}={value}", text, flags=re.MULTILINE)
        if found:
            del left[name]
    return text + "".join(f"{name}={value}\n" for name, value in left.items())


def test_a_stranger_is_signed_in_by_the_commands_of_the_document(
    wheel: Path, command: str, port: int, values: dict[str, str], tmp_path: Path
) -> None:
    lines, began_at = steps(), time.monotonic()
    assert [line.split()[0] for line in lines] == ["python3", "pip", "bff", "bff", "bff"]
    shutil.copy(wheel, tmp_path)
    (tmp_path / ".env").write_text(dotenv(values))
    path = os.environ["PATH"]
    if not is_full():
        path, lines = f"{Path(command).parent}:{path}", lines[2:]
    script = "\n".join(["set -e", *lines]).replace("8000", str(port))
    with Process(["sh", "-c", script], name="sh", env={"PATH": path}, cwd=tmp_path) as shell:
        base_url = values["APP_BASE_URL"]
        shell.wait_for_http(f"{base_url}/readyz", timeout_seconds=INSTALL_SECONDS)
        with closing(BrowserClient([base_url], EMAIL, PASSWORD)) as browser:
            browser.log_in()
            assert browser.navigate("/").text == PAGE
            assert browser.profile().json()["user"]["email"] == EMAIL
        seconds = time.monotonic() - began_at
        assert f"bff {__version__}\n" in shell.output
        assert " failed.\n" in shell.output
        assert " bff.check " not in shell.output
        outside = run(command, values, tmp_path, "--from-outside")
        assert {row["subject"]: row["status"] for row in outside}["from outside"] == "ok"
    print(f"signed in after {len(steps())} commands and {seconds:.0f} s")


def run(
    command: str, values: dict[str, str], folder: Path, *arguments: str
) -> list[dict[str, str]]:
    """The rows of `bff check`, installed."""
    ended = subprocess.run(
        [command, "check", "--json", *arguments], env=values, cwd=folder, capture_output=True,
        text=True, timeout=60,
    )  # fmt: skip
    assert not ended.stderr
    rows: list[dict[str, str]] = json.loads(ended.stdout)["findings"]
    assert (ended.returncode == 1) == any(row["status"] == "failed" for row in rows)
    return rows


@pytest.mark.parametrize("case", CASES)
def test_the_installed_check_names_a_wrong_setting(
    case: str, command: str, tenant: RunningProvider, values: dict[str, str], tmp_path: Path
) -> None:
    changed, subject, status, advice = WRONG[case]
    redis, issuer = values["REDIS_URL"].removeprefix("redis://"), tenant.issuer.rstrip("/")
    wrong = {n: v and v.format(redis=redis, issuer=issuer) for n, v in changed.items()}
    given = {n: v for n, v in (values | wrong).items() if v is not None}
    [row] = [one for one in run(command, given, tmp_path) if one["subject"] == subject]
    assert (row["status"], advice in row["advice"]) == (status, True)
    print(f"{row['status']}: {row['subject']}: {row['meaning']}\n   -> {row['advice']}")


def test_traces_say_what_is_to_be_installed_and_need_nothing_else(
    wheel: Path, command: str, values: dict[str, str], tmp_path: Path
) -> None:
    traced = values | {"BFF_TRACES": "on"}
    [row] = [one for one in run(command, traced, tmp_path) if one["status"] == "failed"]
    assert "BFF_TRACES" in row["subject"] + row["meaning"]
    assert "pip install bff[otel]" in row["meaning"] + row["advice"]
    install = [str(UV), "pip", "install", "--quiet", "--python", f"{Path(command).parent}/python"]
    subprocess.run([*install, f"bff[otel] @ {wheel.as_uri()}"], check=True)
    assert "failed" not in {one["status"] for one in run(command, traced, tmp_path)}
