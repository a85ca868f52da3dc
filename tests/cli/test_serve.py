"""Does `python -m bff serve` check the settings, replace killed workers, and stop gracefully?"""

from __future__ import annotations

import http.client
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from bff import config
from bff.cli.main import main
from tests.support import raw_client
from tests.support.processes import Process, free_port
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]
SECRETS = ("AUTH0_SECRET", "AUTH0_CLIENT_SECRET", "REDIS_URL")


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "bff", "serve", *arguments]


def environment(redis_url: str = "redis://127.0.0.1:1/0") -> dict[str, str]:
    """Complete settings, without a running provider or API."""
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "OIDC_ISSUER": "http://127.0.0.1:1/",
        "AUTH0_CLIENT_ID": "client",
        "AUTH0_CLIENT_SECRET": secrets.token_hex(16),
        "AUTH0_SECRET": secrets.token_hex(32),
        "APP_BASE_URL": "http://localhost:8000",
        "BFF_API_URL": "http://127.0.0.1:1",
        "REDIS_URL": redis_url,
    }


def run(*arguments: str, env: dict[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, env=env, cwd=cwd, timeout=60
    )


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def server(port: int, redis_server: RedisServer) -> Iterator[Process]:
    """A server with two workers."""
    arguments = command("--port", str(port), "--workers", "2", "--grace-seconds", "10")
    with Process(arguments, name="the BFF", env=environment(redis_server.url)) as process:
        process.wait_for_http(f"http://127.0.0.1:{port}/healthz")
        for number in (1, 2):
            process.wait_for_output(f"Started worker-{number}")
        yield process


# ------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(("name", "module"), [("demo", "demo"), ("prove", "demo.prove")])
def test_commands_of_earlier_versions_name_their_replacement(
    name: str, module: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([name, "--port", "9000"]) == 2
    assert f"python -m {module}\n" in capsys.readouterr().err


def test_all_wrong_settings_are_named_at_once(tmp_path: Path) -> None:
    env = environment() | {"BFF_UPSTREAM_TIMEOUT_SECONDS": "soon", "APP_BASE_URL": "app.example"}
    del env["AUTH0_CLIENT_ID"]
    ended = run(env=env, cwd=tmp_path)
    assert ended.returncode == 2
    assert "3 problem(s)" in ended.stderr
    for name in ("BFF_UPSTREAM_TIMEOUT_SECONDS", "APP_BASE_URL", "AUTH0_CLIENT_ID"):
        assert name in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not any(env[name] in ended.stderr for name in SECRETS)


def test_a_taken_port_is_named_in_one_line(tmp_path: Path, port: int) -> None:
    """Even if the other server shares the port, as Granian does."""
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        ended = run("--port", str(port), env=environment(), cwd=tmp_path)
    assert ended.returncode == 1
    assert ended.stderr == f"Can't listen on 127.0.0.1:{port}: Address already in use.\n"


@pytest.mark.parametrize("host", ["no-such-host.invalid", ""])
def test_a_host_that_is_not_there_is_named_in_one_line(host: str, tmp_path: Path) -> None:
    ended = run("--host", host, "--port", str(free_port()), env=environment(), cwd=tmp_path)
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1), ended.stderr
    assert ended.stderr.startswith(f"Can't listen on {host}:")


def test_the_host_may_be_a_name(port: int, redis_server: RedisServer) -> None:
    arguments = command("--host", "localhost", "--port", str(port))
    with Process(arguments, name="the BFF", env=environment(redis_server.url)) as process:
        process.wait_for_http(f"http://127.0.0.1:{port}/healthz")


@pytest.mark.parametrize(
    "arguments", [["--workers", "0"], ["--port", "x"], ["--port", "70000"], ["--threads", "-1"]]
)
def test_wrong_arguments_are_refused(arguments: list[str], tmp_path: Path) -> None:
    ended = run(*arguments, env=environment(), cwd=tmp_path)
    assert ended.returncode == 2
    assert "usage:" in ended.stderr


# ------------------------------------------------------------------ how it runs


def test_a_request_in_flight_is_finished_at_sigterm(server: Process, port: int) -> None:
    body = b"form_token=x"
    head = [
        "POST /auth/logout HTTP/1.1",
        "Host: localhost",
        "X-CSRF: 1",
        "Content-Type: application/x-www-form-urlencoded",
        f"Content-Length: {len(body)}",
        "Expect: 100-continue",
    ]
    with raw_client.connect(port) as connection:
        connection.sendall("\r\n".join([*head, "", ""]).encode())
        # A worker has begun to handle it, and waits for its body.
        raw_client.read_until(connection, b"HTTP/1.1 100 Continue\r\n\r\n")
        server.process.send_signal(signal.SIGTERM)
        server.wait_for_output("Stopping worker")
        connection.sendall(body)
        assert raw_client.read_all(connection).raw.startswith(b"HTTP/1.1 ")
    assert server.process.wait(15) == 0


def test_a_killed_worker_is_replaced(server: Process, port: int) -> None:
    """And a stop doesn't wait for the one that is just starting."""
    before = {one.pid for one in psutil.Process(server.pid).children()}
    os.kill(before.pop(), signal.SIGKILL)
    server.wait_for_output("Respawning")
    server.wait_for_http(f"http://127.0.0.1:{port}/healthz")
    assert server.running
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(15) == 0
    assert "refused to gracefully stop" not in server.output


def test_a_stop_does_not_wait_for_a_worker_that_had_no_handler_yet(
    tmp_path: Path, port: int, redis_server: RedisServer
) -> None:
    """It gets the signal between its fork and the first line of ours."""
    begun, go_on = tmp_path / "begun", tmp_path / "go_on"
    start = f"""
import time
from pathlib import Path
from bff.cli import main, serve
real = serve._application
def late(*arguments):
    Path({str(begun)!r}).touch()
    while not Path({str(go_on)!r}).exists():
        time.sleep(0.01)
    return real(*arguments)
serve._application = late
main.main(["serve", "--port", "{port}", "--grace-seconds", "10"])
"""
    env = environment(redis_server.url)
    with Process([sys.executable, "-c", start], name="the BFF", env=env) as process:
        wait_for(begun.exists, "the worker has begun")
        process.process.send_signal(signal.SIGTERM)
        process.wait_for_output("Shutting down granian")
        go_on.touch()
        assert process.process.wait(20) == 0
        assert "refused to gracefully stop" not in process.output


def test_no_secret_is_in_a_log(server: Process, port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/auth/callback?code=geheim&state=geheim")
    connection.getresponse().read()
    connection.close()
    server.stop()
    assert "geheim" not in server.output


# ------------------------------------------------------------------ what is written down


def test_the_example_names_every_required_setting_and_no_unknown_one() -> None:
    text = (ROOT / ".env.example").read_text()
    named = set(re.findall(r"^#?([A-Z][A-Z0-9_]+)=", text, re.MULTILINE))
    assert named <= set(config.setting_names().values())
    required = {
        "AUTH0_DOMAIN", "OIDC_ISSUER", "AUTH0_CLIENT_ID", "AUTH0_CLIENT_SECRET", "AUTH0_SECRET",
        "APP_BASE_URL", "BFF_API_URL",
    }  # fmt: skip
    assert required <= named


def test_the_example_has_no_secret_that_could_be_left_in() -> None:
    text = (ROOT / ".env.example").read_text()
    assert re.search(r"^AUTH0_SECRET=$", text, re.MULTILINE)
    assert re.search(r"^AUTH0_CLIENT_SECRET=$", text, re.MULTILINE)
