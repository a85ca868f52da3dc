"""Each server's processes send their spans, the last ones at their end; off, nothing is loaded."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.cli.test_serve import command, environment
from tests.support.collector import ReceivedTraces, start_collector
from tests.support.processes import Process, free_port
from tests.support.redis_server import RedisServer
from tests.support.servers import start_server

ROOT = Path(__file__).resolve().parents[2]
WORKERS = 2
KEY = {"OTEL_EXPORTER_OTLP_HEADERS": "x-key=of-the-collector"}
START = """
import os, sys
from bff.app.factory import create_app
create_app()
OURS = ("bff.app.traces.set_up", "opentelemetry.sdk.trace", "opentelemetry.exporter", "google")
print(*(name for name in sys.modules if name.startswith(OURS)))
sys.stdout.flush()
os._exit(0)
"""


@pytest.fixture
def traces() -> Iterator[ReceivedTraces]:
    with start_collector() as started:
        yield started


def settings(traces: ReceivedTraces, redis_server: RedisServer) -> dict[str, str]:
    """Nothing is sent before the end of a process."""
    return environment(redis_server.url) | KEY | {
        "BFF_TRACES": "on",
        "OTEL_EXPORTER_OTLP_ENDPOINT": traces.url,
        "OTEL_BSP_SCHEDULE_DELAY": "600000",
    }  # fmt: skip


def use_all(url: str, traces: ReceivedTraces) -> int:
    """Send requests over many connections; each process gets some of them. Returns how many."""
    for _ in range(40):
        requests.get(f"{url}/auth/client.js", timeout=20)
    assert traces.spans == []
    return 40


def test_a_stop_of_serve_sends_the_spans_of_all_workers(
    traces: ReceivedTraces, redis_server: RedisServer
) -> None:
    port = free_port()
    arguments = ["--port", str(port), "--workers", str(WORKERS), "--drain-seconds", "1"]
    env = settings(traces, redis_server)
    with Process(command(*arguments), name="the BFF", env=env) as server:
        server.wait_for_http(f"http://127.0.0.1:{port}/healthz")
        sent = use_all(f"http://127.0.0.1:{port}", traces)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0
    ours = [one for one in traces.spans if one.name == "GET /auth/<name>"]
    assert len(ours) == sent
    assert all(headers["x-key"] == "of-the-collector" for headers in traces.headers)


def test_a_process_that_gunicorn_has_forked_sends_its_spans(
    traces: ReceivedTraces, redis_server: RedisServer
) -> None:
    """The application was made before the fork."""
    env = settings(traces, redis_server)
    with start_server("gunicorn", "wsgi:app", env=env, options=("--preload",)) as server:
        sent = use_all(server.url, traces)
    assert [one.name for one in traces.spans].count("GET /auth/<name>") == sent


@pytest.mark.parametrize(
    ("variables", "loaded"),
    [
        ({}, False),
        ({"BFF_TRACES": "on", "OTEL_SDK_DISABLED": "true"}, False),
        ({"BFF_TRACES": "on"}, True),
    ],
    ids=["off", "disabled", "on"],
)
def test_off_nothing_is_loaded(variables: dict[str, str], loaded: bool) -> None:
    """But for OpenTelemetry's interface, which redis-py loads where it is installed."""
    env = environment() | variables
    told = subprocess.run(
        [sys.executable, "-c", START], env=env, capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert bool(told.stdout.strip()) == loaded


def test_serve_says_which_package_is_missing_before_it_starts(tmp_path: Path) -> None:
    """Without its metadata a package isn't installed."""
    hidden = tmp_path / "sitecustomize.py"
    hidden.write_text(
        "from importlib import metadata\n"
        "def version(name):\n"
        "    raise metadata.PackageNotFoundError(name)\n"
        "metadata.version = version\n"
    )
    env = environment() | {"BFF_TRACES": "on"}
    env["PYTHONPATH"] = f"{tmp_path}{os.pathsep}{ROOT}"
    ended = subprocess.run(command(), env=env, capture_output=True, text=True, cwd=tmp_path)
    assert ended.returncode == 2
    assert "BFF_TRACES: opentelemetry-api isn't installed: pip install bff[otel]" in ended.stderr
    assert "Traceback" not in ended.stderr
