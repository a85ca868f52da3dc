"""One upstream and one server of each kind for all tests of the proxy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.support.raw_upstream import RawUpstream, responding
from tests.support.servers import SERVERS, WebServer, start_server

APP = "tests.gateway.app:app"
UPSTREAM_TIMEOUT_SECONDS = 3


@dataclass
class RunningProxy:
    """A server with the proxy, and its upstream."""

    server: WebServer
    raw: RawUpstream

    @property
    def port(self) -> int:
        """The server's port."""
        return self.server.port


@pytest.fixture(scope="session", params=SERVERS)
def running(request: pytest.FixtureRequest) -> Iterator[RunningProxy]:
    """Started once for all tests."""
    with RawUpstream() as raw:
        env = {
            "BFF_API_URL": f"{raw.url}/v1",
            "BFF_UPSTREAM_TIMEOUT_SECONDS": str(UPSTREAM_TIMEOUT_SECONDS),
            "BFF_REQUEST_MAX_BYTES": "3000000",
            # Containers often have such variables; they must not reach an upstream.
            "HTTP_PROXY": "http://user:secret@proxy.test:3128",
            "HTTP_X_OF_THE_PROCESS": "not for the upstream",
            "REQUEST_URI": "/api/from-the-environment",
        }
        server = start_server(request.param, APP, env=env)
        try:
            yield RunningProxy(server, raw)
        finally:
            server.stop()


@pytest.fixture
def proxy(running: RunningProxy) -> RunningProxy:
    """The server and its upstream, which responds with `ok` and has seen no request yet."""
    running.raw.script = responding()
    running.raw.drop_connections()
    running.raw.forget()
    return running


@pytest.fixture
def raw() -> Iterator[RawUpstream]:
    """An upstream that responds with `ok` until it gets another script."""
    with RawUpstream() as upstream:
        yield upstream
