"""Does a client that is refused while it is still sending receive the error?"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from bff.gateway.client_address import ClientAddresses
from bff.gateway.lingering_close import THREADS_MAX, LingeringClose
from tests.gateway.conftest import APP, RunningProxy
from tests.support import raw_client
from tests.support.processes import free_port
from tests.support.raw_upstream import RawUpstream, Wire
from tests.support.servers import SERVERS, THREADS, start_server

TOO_LARGE_BYTES = 8_000_000
"""More than the buffers of the sockets and the limit of the route."""
API_PORT = free_port()
ENV = {
    "BFF_API_URL": f"http://127.0.0.1:{API_PORT}",
    "BFF_REQUEST_MAX_BYTES": str(TOO_LARGE_BYTES - 1),
}
HEAD = (
    f"PUT /api/x HTTP/1.1\r\nHost: app.test\r\nContent-Length: {TOO_LARGE_BYTES}\r\n"
    "Connection: close\r\n\r\n"
).encode()


@pytest.fixture(scope="module", params=SERVERS)
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    """Of a server that trusts the tests as a proxy, and whose upstream is unreachable."""
    server = start_server(request.param, APP, env=ENV | {"BFF_TRUSTED_PROXIES": "127.0.0.1"})
    yield server.port
    server.stop()


def test_a_client_that_sends_everything_first_reads_the_error(port: int) -> None:
    with raw_client.connect(port) as sock:
        sock.sendall(HEAD)
        sock.sendall(b"x" * TOO_LARGE_BYTES)
        received = raw_client.read_all(sock)
    assert (received.status, received.complete, received.reset) == (413, True, False)


@pytest.mark.parametrize(
    ("response", "status"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200),
        (b"HTTP/1.1 303 See Other\r\nContent-Length: 0\r\n\r\n", 303),
        (b"HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n", 413),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204),
    ],
)
def test_a_client_that_sends_everything_first_reads_what_an_api_said_early(
    port: int, response: bytes, status: int
) -> None:
    """The API closes without reading; a proxy in front would take a reset for an outage."""

    def script(upstream: RawUpstream, wire: Wire) -> None:
        raw_client.read_until(wire.sock, b"\r\n\r\nx")
        wire.send(response)

    upload = HEAD.replace(b"%d" % TOO_LARGE_BYTES, b"%d" % (TOO_LARGE_BYTES - 1))
    with RawUpstream(script, API_PORT), raw_client.connect(port) as sock:
        sock.sendall(upload)
        sock.sendall(b"x" * (TOO_LARGE_BYTES - 1))
        received = raw_client.read_all(sock)
    assert (received.status, received.complete, received.reset) == (status, True, False)


def test_a_client_that_reads_first_has_the_error_at_once(port: int) -> None:
    with raw_client.connect(port) as sock:
        sock.sendall(HEAD + b"x")
        assert b" 413 " in raw_client.read_until(sock, b"\r\n\r\n")


def test_clients_that_never_send_the_rest_occupy_few_threads() -> None:
    """Under Granian; gunicorn waits two seconds for each, one after the other."""
    server = start_server("granian", APP, env=ENV | {"BFF_TRUSTED_PROXIES": "127.0.0.1"})
    with ExitStack() as stack:
        stack.callback(server.stop)
        for _ in range(THREADS + THREADS_MAX):
            sock = stack.enter_context(raw_client.connect(server.port))
            sock.sendall(HEAD + b"x")
            assert b" 413 " in raw_client.read_until(sock, b"\r\n\r\n")
        ask = b"GET /ok HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n"
        assert raw_client.send(server.port, ask).status == 200


def test_an_untrusted_client_is_not_waited_for(proxy: RunningProxy) -> None:
    received = raw_client.send(proxy.port, HEAD)
    assert (received.status, received.complete) == (413, True)


# ---------------------------------------------------------------- the rules
PROXIES = ClientAddresses(["127.0.0.1"])
FROM_PROXY = {"REMOTE_ADDR": "127.0.0.1"}


class Body(io.BytesIO):
    """Counts how much of it was read."""

    @property
    def left(self) -> int:
        """How many bytes are unread."""
        return len(self.getvalue()) - self.tell()


class ResponseBody:
    """Notes whether it was closed."""

    closed = False

    def __iter__(self) -> Iterator[bytes]:
        yield b"no"

    def close(self) -> None:
        """Called by the server (PEP 3333)."""
        self.closed = True


def served(
    status: str,
    body: io.BytesIO,
    environ: dict[str, str] | None = None,
    *,
    seconds: float = 30,
) -> list[bytes]:
    """What a server would send for an application that doesn't read the body."""

    def application(environ: Any, start_response: Any) -> Iterable[bytes]:
        start_response(status, [])
        return [b"no"]

    given = {"CONTENT_LENGTH": "100000", "wsgi.input": body} | FROM_PROXY | (environ or {})
    lingering = LingeringClose(application, PROXIES, seconds)
    return list(lingering(given, lambda *_: lambda _: None))


@pytest.mark.parametrize(
    ("status", "environ", "is_read"),
    [
        ("401 Unauthorized", {}, True),
        ("502 Bad Gateway", {}, True),
        ("401 Unauthorized", {"CONTENT_LENGTH": "", "HTTP_TRANSFER_ENCODING": "chunked"}, True),
        # A response that isn't an error comes after the body, or ignores it deliberately.
        ("200 OK", {}, False),
        # The client waits for a 100, and doesn't get one.
        ("413 Content Too Large", {"HTTP_EXPECT": "100-continue"}, False),
        ("404 Not Found", {"CONTENT_LENGTH": "0"}, False),
    ],
)
def test_after_which_responses_the_body_is_read(
    status: str, environ: dict[str, str], is_read: bool
) -> None:
    body = Body(b"x" * 100_000)
    assert served(status, body, environ) == [b"no"]
    assert body.left == (0 if is_read else 100_000)


def test_reading_ends_with_the_time_limit() -> None:
    body = Body(b"x" * 100_000)
    assert served("401 Unauthorized", body, seconds=0) == [b"no"]
    assert 0 < body.left < 100_000


def test_a_client_that_disconnects_is_no_error() -> None:
    class Gone(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise ConnectionResetError

    assert served("401 Unauthorized", Gone()) == [b"no"]


def test_threads_are_released_and_the_response_is_closed() -> None:
    bodies: list[ResponseBody] = []

    def application(environ: Any, start_response: Any) -> ResponseBody:
        start_response("401 Unauthorized", [])
        bodies.append(ResponseBody())
        return bodies[-1]

    lingering = LingeringClose(application, PROXIES)
    for _ in range(THREADS_MAX * 2):
        request_body = Body(b"x")
        environ = {"CONTENT_LENGTH": "1", "wsgi.input": request_body} | FROM_PROXY
        assert list(lingering(environ, lambda *_: lambda _: None)) == [b"no"]
        assert request_body.left == 0
    assert all(body.closed for body in bodies)
