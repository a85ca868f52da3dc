"""Does `python -m demo` start everything, report problems, and leave nothing behind?"""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from demo.launch import port_problems
from demo.options import parse
from tests.support.processes import Process, free_port
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 60


class Ports:
    """Three free ports, as arguments and as numbers."""

    def __init__(self) -> None:
        self.bff, self.provider, self.api = free_port(), free_port(), free_port()

    @property
    def arguments(self) -> list[str]:
        own = ["--port", str(self.bff), "--provider-port", str(self.provider)]
        return [*own, "--api-port", str(self.api)]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "demo", *arguments]


def environment(folder: Path, **more: str) -> dict[str, str]:
    """This environment, with temporary files where the test finds them."""
    return os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(folder)} | more


@contextmanager
def demo(folder: Path, *arguments: str, **variables: str) -> Iterator[Process]:
    """A demo that is ready."""
    with Process(
        command(*arguments), name="the demo", env=environment(folder, **variables)
    ) as process:
        process.wait_for_output("Ctrl-C stops everything", START_SECONDS)
        yield process


def family(process: Process) -> list[psutil.Process]:
    """The processes that the demo has started, and their children."""
    return psutil.Process(process.pid).children(recursive=True)


def nothing_left(processes: list[psutil.Process], folder: Path, seconds: float = 15.0) -> bool:
    _, running = psutil.wait_procs(processes, timeout=seconds)
    end = time.monotonic() + seconds
    while any(folder.iterdir()) and time.monotonic() < end:
        time.sleep(0.02)
    return not running and not any(folder.iterdir())


def status(port: int, path: str, host: str = "localhost") -> int:
    connection = http.client.HTTPConnection(host, port, timeout=10)
    try:
        connection.request("GET", path, headers={"Accept": "text/html"})
        return connection.getresponse().status
    finally:
        connection.close()


# ------------------------------------------------------------------ what is refused


@pytest.mark.parametrize("which", ["bff", "provider", "api"])
def test_a_taken_port_is_named_in_one_line_and_nothing_starts(which: str, tmp_path: Path) -> None:
    ports = Ports()
    with socket.create_server(("127.0.0.1", getattr(ports, which))):
        ended = subprocess.run(
            command(*ports.arguments),
            capture_output=True,
            text=True,
            env=environment(tmp_path),
            timeout=60,
        )
    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 1
    assert f"Port {getattr(ports, which)}" in ended.stderr
    assert "is in use; choose another with --" in ended.stderr
    assert ended.stdout == ""
    assert not any(tmp_path.iterdir())


def test_another_server_on_the_ipv6_loopback_is_reported_too() -> None:
    """For "localhost" a browser tries ::1 first."""
    ports = Ports()
    with socket.create_server(("::1", ports.bff), family=socket.AF_INET6):
        assert port_problems(parse(ports.arguments)) == [
            f"Port {ports.bff}, meant for the BFF, is in use; choose another with --port."
        ]
    assert port_problems(parse(ports.arguments)) == []


def test_one_port_for_two_programs_is_refused() -> None:
    port = str(free_port())
    problems = port_problems(parse(["--port", port, "--api-port", port]))
    assert f"Port {port} is asked for twice; choose another with --api-port." in problems


def test_a_redis_that_does_not_respond_is_named(tmp_path: Path) -> None:
    url = f"redis://:geheim@127.0.0.1:{free_port()}/0"
    ended = subprocess.run(
        command(*Ports().arguments, "--redis-url", url),
        capture_output=True,
        text=True,
        env=environment(tmp_path),
        timeout=60,
    )
    assert ended.returncode == 1
    assert "The Redis of --redis-url can't be used" in ended.stderr
    assert "geheim" not in ended.stderr
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    "arguments",
    [["--port", "0"], ["--port", "65536"], ["--workers", "0"], ["--overlap-seconds", "-1"]],
    ids=" ".join,
)
def test_a_wrong_argument_is_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse(arguments)


# ------------------------------------------------------------------ what runs


def test_help_shows_the_options() -> None:
    result = subprocess.run(command("--help"), capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 0
    for knob in (
        "--port", "--provider-port", "--api-port", "--access-token-seconds", "--idle-seconds",
        "--overlap-seconds", "--redis-url", "--spa-dir", "--workers",
    ):  # fmt: skip
        assert knob in result.stdout


def test_ctrl_c_stops_everything(tmp_path: Path) -> None:
    """It prints the addresses, a user and the Redis; all four programs respond."""
    ports = Ports()
    with demo(tmp_path, *ports.arguments, "--workers", "2") as running:
        result = running.output
        assert f"http://localhost:{ports.bff}" in result
        assert "demo@example.com, password: demo" in result
        assert (
            "Redis 6" in result or "Redis 7" in result or "Valkey" in result or "Redis 8" in result
        )
        # It prints them when one worker is ready; another one may respond here.
        wait_for(lambda: status(ports.bff, "/readyz") == 200, "the other worker")
        assert status(ports.bff, "/") == 200
        assert status(ports.provider, "/.well-known/openid-configuration", "127.0.0.1") == 200
        assert status(ports.api, "/items", "127.0.0.1") == 401
        started = family(running)
        running.signal(signal.SIGINT)
        assert running.process.wait(20) == 0
        assert nothing_left(started, tmp_path)
    assert "Nothing is left running" in running.output


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_other_ends_leave_nothing_behind_either(number: signal.Signals, tmp_path: Path) -> None:
    with demo(tmp_path, *Ports().arguments) as running:
        started = family(running)
        os.kill(running.pid, number)
        running.process.wait(20)
        assert nothing_left(started, tmp_path)


def test_a_stop_in_the_middle_of_the_start_leaves_nothing_behind(tmp_path: Path) -> None:
    process = Process(command(*Ports().arguments), env=environment(tmp_path))
    with process:
        end = time.monotonic() + START_SECONDS
        while len(family(process)) < 3 and time.monotonic() < end:
            time.sleep(0.005)
        started = family(process)
        os.kill(process.pid, signal.SIGINT)
        assert process.process.wait(20) == 0
        assert nothing_left(started, tmp_path)
    assert "Ctrl-C stops" not in process.output


@pytest.mark.parametrize("program", ["demo.provider", "redis-server"])
def test_a_program_that_ends_stops_the_demo_and_is_named(program: str, tmp_path: Path) -> None:
    with demo(tmp_path, *Ports().arguments) as running:
        started = family(running)
        victim = next(one for one in started if program in " ".join(one.cmdline()))
        victim.kill()
        assert running.process.wait(20) == 1
        assert nothing_left(started, tmp_path)
    name = "Redis" if program == "redis-server" else "The provider"
    assert f"{name} ended with code -9" in running.output


def test_a_redis_of_the_users_is_used_and_left_as_it_was(tmp_path: Path) -> None:
    with RedisServer() as server, server.client() as client:
        client.set("theirs", "kept")
        with demo(tmp_path, *Ports().arguments, "--redis-url", server.url) as running:
            assert "yours" in running.output
            prefixes = [name for name in _prefixes(running) if name.startswith("demo-")]
            assert prefixes
            client.set(f"{prefixes[0]}:left", "over")
            running.signal(signal.SIGINT)
            assert running.process.wait(20) == 0
        assert client.keys("*") == [b"theirs"]


def _prefixes(running: Process) -> set[str]:
    return {one.environ().get("BFF_REDIS_PREFIX", "") for one in family(running)}


def test_another_app_is_served(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app/index.html").write_text("<title>Another</title>")
    ports = Ports()
    with demo(tmp_path, *ports.arguments, "--spa-dir", str(tmp_path / "app")):
        connection = http.client.HTTPConnection("127.0.0.1", ports.bff, timeout=20)
        connection.request("GET", "/")
        assert b"Another" in connection.getresponse().read()
        connection.close()


def test_settings_of_the_user_do_not_reach_the_demo(tmp_path: Path) -> None:
    """Neither those of the environment nor of a .env file in the working directory."""
    with demo(
        tmp_path, *Ports().arguments, AUTH0_DOMAIN="x.example", BFF_NO_SUCH_THING="1"
    ) as running:
        assert running.running
