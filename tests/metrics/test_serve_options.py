"""What does `serve` do with `--metrics-port`, and what without?"""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from tests.cli.test_serve import command, environment, run
from tests.support.processes import Process, free_port
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_for

WORKER_WITHOUT = """
import sys
from bff.cli import main, serve
from bff.cli.draining import Draining
from bff.core import audit, operations
serve._application(4, Draining(), None, None)
print([m for m in sys.modules if m.startswith(("prometheus_client", "bff.cli.metrics"))],
      operations.observers, audit.watchers)
"""


def test_without_it_nothing_of_metrics_is_loaded_and_nobody_observes(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", WORKER_WITHOUT], env=environment(redis_server.url), cwd=tmp_path,
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (ended.stdout, ended.returncode) == ("[] [] []\n", 0), ended.stderr


def test_a_taken_port_is_named_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        arguments = ("--port", str(free_port()), "--metrics-port", port)
        ended = run(*arguments, env=environment(), cwd=tmp_path)
    said = f"Can't listen on 127.0.0.1:{port}: Address already in use.\n"
    assert (ended.returncode, ended.stderr) == (1, said)


@pytest.mark.parametrize("port", ["0", "70000", "-1", "x"])
def test_what_is_no_port_is_refused(tmp_path: Path, port: str) -> None:
    ended = run("--metrics-port", port, env=environment(), cwd=tmp_path)
    assert ended.returncode == 2
    assert "--metrics-port: invalid" in ended.stderr


def test_it_listens_at_ipv6_and_ends_with_a_server_that_is_killed(
    redis_server: RedisServer,
) -> None:
    port, metrics_port = free_port(), free_port()
    arguments = command(
        "--host", "::1", "--port", str(port), "--metrics-host", "::1", "--metrics-port",
        str(metrics_port),
    )  # fmt: skip
    url = f"http://[::1]:{metrics_port}/metrics"
    with Process(arguments, name="the BFF", env=environment(redis_server.url)) as process:
        process.wait_for_http(f"http://[::1]:{port}/healthz")
        assert "bff_build_info" in requests.get(url, timeout=10).text
        process.stop()
    with pytest.raises(requests.ConnectionError):
        requests.get(url, timeout=10)


def test_a_new_password_of_redis_counts_here_too(tmp_path: Path) -> None:
    port, metrics_port = free_port(), free_port()
    url, file = f"http://127.0.0.1:{metrics_port}/metrics", tmp_path / "redis-url"
    with RedisServer() as redis, redis.client() as admin:
        admin.config_set("requirepass", "the-old-one")
        file.write_text(redis.url.replace("://", "://:the-old-one@"))
        env = environment("") | {"REDIS_URL_FILE": str(file)}
        arguments = command("--port", str(port), "--metrics-port", str(metrics_port))
        with Process(arguments, name="the BFF", env=env) as process:
            process.wait_for_http(f"http://127.0.0.1:{port}/healthz")

            def outbox_is_readable() -> bool:
                return "bff_revocations_readable 1.0" in requests.get(url, timeout=10).text

            wait_for(outbox_is_readable, "the outbox can be read")
            admin.config_set("requirepass", "the-new-one")
            admin.client_kill_filter(skipme=True)
            wait_for(lambda: not outbox_is_readable(), "the old password is refused")
            file.write_text(redis.url.replace("://", "://:the-new-one@"))
            wait_for(outbox_is_readable, "the new one is used")
