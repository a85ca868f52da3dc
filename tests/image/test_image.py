"""The image serves, drains and stops; `make image` builds it and runs these tests."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest
import requests

from tests.image.image_cluster import ImageCluster, image_config, in_image
from tests.support.processes import free_port
from tests.support.waiting import wait_for

TRY_TO_WRITE = """
import os, pathlib
print(os.getuid(), os.getgid())
for folder in ("/", "/bff", "/venv", "/tmp", "/var/tmp", "/etc"):
    try:
        pathlib.Path(folder, "written").touch()
    except OSError as error:
        print(folder, error.errno)
"""
READ_ONLY_FILE_SYSTEM = 30


@pytest.fixture(scope="module")
def cluster() -> Iterator[ImageCluster]:
    with ImageCluster() as started:
        yield started


def output_of(cluster: ImageCluster, *command: str) -> subprocess.CompletedProcess[str]:
    environ = cluster.image_environment()
    return subprocess.run(in_image(*command), env=environ, capture_output=True, text=True)


def test_a_user_signs_in_and_calls_the_api_and_signs_out(cluster: ImageCluster) -> None:
    browser = cluster.browser()
    browser.log_in()
    assert browser.api("/items").status_code == 200
    assert browser.log_out().status_code == 200
    assert browser.profile().status_code == 401
    assert cluster.active_refresh_tokens() == 0


def test_it_runs_as_nobody_and_can_write_nothing(cluster: ImageCluster) -> None:
    user, *refused = output_of(cluster, "python", "-c", TRY_TO_WRITE).stdout.splitlines()
    assert user == "65534 65534"
    assert refused == [
        f"{folder} {READ_ONLY_FILE_SYSTEM}"
        for folder in ("/", "/bff", "/venv", "/tmp", "/var/tmp", "/etc")
    ]


def test_it_has_its_command_and_no_tool_that_installs(cluster: ImageCluster) -> None:
    assert output_of(cluster, "bff", "--version").stdout.startswith("bff 0.")
    assert output_of(cluster, "python", "-m", "pip", "--version").returncode == 1


def test_it_has_what_traces_need(cluster: ImageCluster) -> None:
    load = "import opentelemetry.exporter.otlp.proto.http.trace_exporter"
    assert output_of(cluster, "python", "-c", load).returncode == 0


def test_its_health_check_tells_whether_it_serves(cluster: ImageCluster) -> None:
    [kind, *check] = image_config()["Healthcheck"]["Test"]
    assert kind == "CMD"

    def health(port: int) -> int:
        return output_of(cluster, *(part.replace("8000", str(port)) for part in check)).returncode

    assert (health(cluster.ports[0]), health(9)) == (0, 1)


def test_at_sigterm_it_drains_and_then_stops(cluster: ImageCluster) -> None:
    port = free_port()
    process = cluster.start_replica(port)
    url = f"http://127.0.0.1:{port}"
    process.process.terminate()
    wait_for(lambda: requests.get(f"{url}/readyz", timeout=5).status_code == 503, "it drains")
    assert requests.get(f"{url}/healthz", timeout=5).status_code == 200
    assert process.process.wait(60) == 0
