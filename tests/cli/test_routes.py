"""Does `python -m bff routes` show the table, and what would happen to a request?"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bff.cli import main
from tests.support.processes import free_port

ROOT = Path(__file__).resolve().parents[2]
SECRET = "a-secret-that-must-not-be-shown-0123456789"
ROUTES = """
[[route]]
prefix = "/api/orders"
upstream = ["http://orders-1:8080/v1", "http://orders-2:8080/v1"]
methods = ["GET", "POST"]
request_max_bytes = 1000
request_headers = ["Accept"]
request_cookies = ["tenant"]
answer_cookies = ["XSRF"]
token = "exchange"
audience = "https://orders.example.com"
scope = "read:orders"
client_id = "orders-client"
client_secret_env = "ORDERS_SECRET"
acr_values = ["mfa"]
max_age_seconds = 300

[[route]]
prefix = "/files"
upstream = "https://files.internal"
strip_prefix = false
request_max_bytes = 0
token = "none"
"""


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """Settings without a Redis, a provider or an upstream."""
    file = tmp_path / "routes.toml"
    file.write_text(ROUTES)
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "OIDC_ISSUER": "http://127.0.0.1:1/",
        "AUTH0_CLIENT_ID": "client",
        "AUTH0_CLIENT_SECRET": SECRET,
        "AUTH0_SECRET": SECRET,
        "APP_BASE_URL": "https://app.example.com",
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "BFF_API_URL": "http://api:8080",
        "BFF_ROUTES_FILE": str(file),
        "ORDERS_SECRET": SECRET,
    }


@pytest.fixture
def here(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Run the command in this process, which is faster."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)


def run(*arguments: str, env: dict[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bff", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=env, cwd=cwd, timeout=60)


def test_the_table_has_a_line_for_each_route_and_no_secret(
    environ: dict[str, str], tmp_path: Path
) -> None:
    ended = run("routes", env=environ, cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    head, *lines = ended.stdout.splitlines()
    assert head.split() == ["prefix", "upstream", "methods", "token", "limits"]
    assert [line.split()[0] for line in lines] == ["/api", "/api/orders", "/files"]
    api, orders, files = lines
    assert "http://api:8080 " in api
    assert "connect 5 s, answer 30 s, body 104857600 bytes" in api
    for part in (
        "http://orders-1:8080/v1, http://orders-2:8080/v1", "GET, POST",
        "exchange for https://orders.example.com scope read:orders as orders-client; "
        "acr mfa, sign-in at most 300 s old",
    ):  # fmt: skip
        assert part in orders
    assert "https://files.internal/files " in files
    assert "any body" in files
    assert SECRET not in ended.stdout


@pytest.mark.usefixtures("here")
def test_the_table_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["routes", "--json"]) == 0
    routes = json.loads(capsys.readouterr().out)["routes"]
    assert [route["prefix"] for route in routes] == ["/api", "/api/orders", "/files"]
    assert routes[1]["methods"] == ["GET", "POST"]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("method", "target", "says"),
    [
        ("GET", "/api/x?a=b", ["route          /api\n", "GET http://api:8080/x?a=b\n"]),
        ("GET", "/api", ["GET http://api:8080/\n"]),
        (
            "GET", "/api/orders/7",
            ["GET http://orders-1:8080/v1/7\n", "GET http://orders-2:8080/v1/7\n",
             "accept; cookies tenant; the answer may set XSRF\n", "403 cross_site",
             "401 session_missing", "403 route_token_refused", "413 body_too_large",
             "acr mfa, sign-in at most 300 s old", "if a kept connection breaks"],
        ),
        ("POST", "/api/orders", ["POST http://orders-1:8080/v1\n", "never, once it may have"]),
        ("GET", "/files/a%2fb", ["GET https://files.internal/files/a%2fb\n", " none\n"]),
    ],
)  # fmt: skip
def test_a_request_that_would_be_forwarded_is_shown_with_0(
    method: str, target: str, says: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["routes", method, target]) == 0
    result = capsys.readouterr().out
    for one in says:
        assert one in result


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("method", "target", "says"),
    [
        ("PUT", "/api/orders/7", ["405 method_not_allowed", "GET, POST", "/api/orders"]),
        ("TRACE", "/api/x", ["405 method_not_allowed"]),
        ("GET", "/api/Orders/7", ["400 path_refused", "/api/orders"]),
        ("GET", "/api/../x", ["400 path_refused", "dot segment"]),
        ("GET", "/api//x", ["400 path_refused", "empty segment"]),
        ("GET", "/api%2fx", ["400 path_refused", "prefix is encoded"]),
        ("GET", "/files/%zz", ["400 path_refused"]),
        ("GET", "/auth/login", ["answers this itself"]),
        ("GET", "/other", ["single-page app"]),
        ("GET", "https://app.example.com/api/x", ["route"]),
    ],
)
def test_a_request_that_would_not_be_forwarded_is_shown_with_1(
    method: str, target: str, says: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["routes", method, target]) == 1
    result = capsys.readouterr().out
    for one in says:
        assert one in result
    assert main.main(["routes", "--json", method, target]) == 1
    assert "upstream" not in json.loads(capsys.readouterr().out)


@pytest.mark.usefixtures("here")
def test_half_a_request_is_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["routes", "GET"]) == 2
    assert "TARGET" in capsys.readouterr().err


def test_a_wrong_file_is_2_with_all_problems(environ: dict[str, str], tmp_path: Path) -> None:
    file = Path(environ["BFF_ROUTES_FILE"])
    file.write_text(ROUTES.replace('token = "none"', 'tokn = "none"').replace("http://o", "o"))
    problems = [
        "BFF_ROUTES_FILE: route /api/orders: upstream: address 1: "
        "must be a URL that begins with http:// or https://",
        "BFF_ROUTES_FILE: route /files: tokn: no such key; token?",
    ]
    for arguments in (["routes"], ["routes", "GET", "/api/x"]):
        ended = run(*arguments, env=environ, cwd=tmp_path)
        assert (ended.returncode, ended.stdout) == (2, "")
        first, *others = ended.stderr.splitlines()
        assert first == "2 problem(s) with the settings:"
        assert others == [f"  - {problem}" for problem in problems]
    ended = run("serve", env=environ, cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    logged = [line.partition(" ERROR bff.settings ")[2] for line in ended.stderr.splitlines()]
    assert logged == ["2 problem(s) with the settings", *problems]


def test_a_route_to_the_server_itself_is_refused_at_the_start(
    environ: dict[str, str], tmp_path: Path
) -> None:
    """Only `serve` knows its address."""
    port = free_port()
    env = environ | {"BFF_API_URL": f"http://localhost:{port}"}
    ended = run("serve", "--port", str(port), env=env, cwd=tmp_path)
    assert ended.returncode == 2
    assert "route /api: upstream: is this server itself" in ended.stderr
