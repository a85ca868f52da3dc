"""One upstream and one server of each kind for all tests of the proxy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.support.raw_upstream import RawUpstream, answering
from tests.support.servers import SERVERS, WebServer, start_server

APP = "tests.gateway.app:app"
UPSTREAM_TIMEOUT_SECONDS = 3


@dataclass
class Line:
    """A server with the proxy in it, and the upstream behind."""

    server: WebServer
    raw: RawUpstream

    @property
    def port(self) -> int:
        """Of the server."""
        return self.server.port


@pytest.fixture(scope="session", params=SERVERS)
def running(request: pytest.FixtureRequest) -> Iterator[Line]:
    """Started once for the whole run."""
    with RawUpstream() as raw:
        env = {
            "BFF_API_URL": f"{raw.url}/v1",
            "BFF_UPSTREAM_TIMEOUT_SECONDS": str(UPSTREAM_TIMEOUT_SECONDS),
            "BFF_REQUEST_MAX_BYTES": "3000000",
            # What a container often has; it must reach no upstream.
            "HTTP_PROXY": "http://user:secret@proxy.test:3128",
            "HTTP_X_OF_THE_PROCESS": "not for the upstream",
            "REQUEST_URI": "/api/from-the-environment",
        }
        server = start_server(request.param, APP, env=env)
        try:
            yield Line(server, raw)
        finally:
            server.stop()


@pytest.fixture
def line(running: Line) -> Line:
    """The server and its upstream, the latter answering `ok` and with an empty memory."""
    running.raw.script = answering()
    running.raw.drop_connections()
    running.raw.forget()
    return running


@pytest.fixture
def raw() -> Iterator[RawUpstream]:
    """An upstream that answers everything with `ok` until it is given another script."""
    with RawUpstream() as upstream:
        yield upstream
