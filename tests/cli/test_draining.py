"""A stop behind a load balancer: not ready first, then closed, and no request is lost."""

from __future__ import annotations

import http.client
import signal
from collections.abc import Iterator

import pytest
import requests

from tests.cli.test_serve import command, environment
from tests.support.browser_client import FETCH
from tests.support.processes import Process, free_port
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_for

DRAIN_SECONDS = 3


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def server(port: int, redis_server: RedisServer) -> Iterator[Process]:
    arguments = ["--port", str(port), "--drain-seconds", str(DRAIN_SECONDS)]
    env = environment(redis_server.url)
    with Process(command(*arguments), name="the BFF", env=env) as process:
        process.wait_for_http(f"http://127.0.0.1:{port}/healthz")
        yield process


def test_it_serves_until_the_load_balancer_has_noticed(server: Process, port: int) -> None:
    url = f"http://127.0.0.1:{port}"
    kept = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    kept.request("GET", "/auth/profile", headers=FETCH)
    first = kept.getresponse()
    assert (first.status, first.read() != b"", first.will_close) == (401, True, False)
    server.process.send_signal(signal.SIGTERM)

    def status() -> str:
        return str(requests.get(f"{url}/readyz", timeout=10).json()["status"])

    wait_for(lambda: status() == "stopping", "not ready")
    assert requests.get(f"{url}/readyz", timeout=10).status_code == 503
    # A connection that was kept is served once more, and ends with its response.
    kept.request("GET", "/auth/profile", headers=FETCH)
    last = kept.getresponse()
    assert (last.status, last.will_close) == (401, True)
    for _ in range(20):
        assert requests.get(f"{url}/healthz", timeout=10).status_code == 200
    kept.close()
    assert server.process.wait(DRAIN_SECONDS + 15) == 0
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{url}/healthz", timeout=10)


def test_a_second_signal_ends_the_wait(port: int, redis_server: RedisServer) -> None:
    arguments = command("--port", str(port), "--drain-seconds", "600")
    with Process(arguments, name="the BFF", env=environment(redis_server.url)) as process:
        process.wait_for_http(f"http://127.0.0.1:{port}/healthz")
        process.process.send_signal(signal.SIGTERM)
        wait_for(
            lambda: (
                requests.get(f"http://127.0.0.1:{port}/readyz", timeout=10).json()["status"]
                == "stopping"
            ),
            "not ready",
        )
        process.process.send_signal(signal.SIGTERM)
        assert process.process.wait(20) == 0
