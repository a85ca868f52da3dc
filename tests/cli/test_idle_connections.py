"""Do the proxies in front close idle connections before `bff serve` does, also when it stops?

Otherwise a request is sent on a connection that is being closed, and a write becomes 502.
"""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path

import pytest

from bff.cli import serve
from tests.cli.test_serve import ROOT, environment
from tests.support import raw_client
from tests.support.processes import Process, free_port

LATENCY_SECONDS = 5
CONFIGURATIONS = {
    "deploy/nginx/nginx.conf": r"upstream (\w+) \{([^}]*)\}",
    "docs/examples/nginx/nginx.conf": r"upstream (\w+) \{([^}]*)\}",
    "deploy/caddy/Caddyfile": r"()transport http \{([^}]*)\}",
    "deploy/traefik/bff.yml": r"(\w+): \{forwardingTimeouts: (\{.*?\})\}",
}
"""What each says of the connections to one upstream, after that upstream's name, if it has one."""
IDLE_TIME = re.compile(r"(?:keepalive_timeout|keepalive|idleConnTimeout:) (\d+)s")


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_proxy_closes_idle_connections_before_the_bff_does(name: str) -> None:
    found = re.findall(CONFIGURATIONS[name], (ROOT / name).read_text())
    assert len(found) == 2, "the BFF and the API"
    for upstream, settings in found:
        (seconds,) = IDLE_TIME.findall(settings)
        assert int(seconds) <= serve.IDLE_CONNECTION_SECONDS - LATENCY_SECONDS, upstream
        # What is idle at the end of the drain is closed, perhaps under a request.
        assert int(seconds) <= drained_seconds() - LATENCY_SECONDS, upstream


def drained_seconds() -> int:
    """For how long the services of docs/deploy.md and the Dockerfile take requests at a stop."""
    texts = [(ROOT / name).read_text() for name in ("docs/deploy.md", "Dockerfile")]
    return min(
        int(one) for text in texts for one in re.findall(r'--drain-seconds"?,? "?(\d+)', text)
    )


def test_no_configuration_is_left_out() -> None:
    files = [*(ROOT / "deploy").rglob("*"), *(ROOT / "docs/examples").rglob("*.conf")]
    proxies = re.compile(r"\n\s*upstream \w+ \{|\breverse_proxy [^*]*\{\n|loadBalancer:")
    found = {str(path.relative_to(ROOT)) for path in files if path.is_file()
             and proxies.search("\n" + path.read_text())}  # fmt: skip
    assert found == set(CONFIGURATIONS)


def test_the_server_keeps_an_idle_connection_for_as_long_as_it_says(tmp_path: Path) -> None:
    port, seconds = free_port(), 2
    start = (
        "from bff.cli import main, serve;"
        f"serve.IDLE_CONNECTION_SECONDS = {seconds};"
        f"main.main(['serve', '--port', '{port}'])"
    )
    with Process([sys.executable, "-c", start], name="the BFF", env=environment()) as process:
        process.wait_for_http(f"http://127.0.0.1:{port}/healthz")
        with raw_client.connect(port) as client:
            for _ in range(2):
                client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
                raw_client.read_until(client, b'{"status":"ok"}\n')
            answered_at = time.monotonic()
            assert raw_client.read_all(client).raw == b""
            assert time.monotonic() - answered_at >= seconds - 0.1
