"""Does a client that is refused while it still sends get to read the answer?"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from bff.gateway.client_address import ClientAddresses
from bff.gateway.lingering_close import THREADS_MAX, LingeringClose
from tests.gateway.conftest import APP, Line
from tests.support import raw_client
from tests.support.processes import free_port
from tests.support.servers import SERVERS, THREADS, start_server

TOO_LARGE_BYTES = 8_000_000
"""More than the sockets' buffers take, and than the route does."""
ENV = {
    "BFF_API_URL": f"http://127.0.0.1:{free_port()}",
    "BFF_REQUEST_MAX_BYTES": str(TOO_LARGE_BYTES - 1),
}
HEAD = (
    f"PUT /api/x HTTP/1.1\r\nHost: app.test\r\nContent-Length: {TOO_LARGE_BYTES}\r\n"
    "Connection: close\r\n\r\n"
).encode()


@pytest.fixture(scope="module", params=SERVERS)
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    """Of a server that takes the tests for a trusted proxy, with an upstream that is away."""
    server = start_server(request.param, APP, env=ENV | {"BFF_TRUSTED_PROXIES": "127.0.0.1"})
    yield server.port
    server.stop()


def test_who_sends_everything_first_reads_the_refusal(port: int) -> None:
    with raw_client.connect(port) as sock:
        sock.sendall(HEAD)
        sock.sendall(b"x" * TOO_LARGE_BYTES)
        received = raw_client.read_all(sock)
    assert (received.status, received.complete, received.reset) == (413, True, False)


def test_who_reads_first_has_it_at_once(port: int) -> None:
    with raw_client.connect(port) as sock:
        sock.sendall(HEAD + b"x")
        assert b" 413 " in raw_client.read_until(sock, b"\r\n\r\n")


def test_who_never_sends_the_rest_holds_few_threads() -> None:
    """Under Granian; gunicorn waits two seconds for everybody, one after the other."""
    server = start_server("granian", APP, env=ENV | {"BFF_TRUSTED_PROXIES": "127.0.0.1"})
    with ExitStack() as stack:
        stack.callback(server.stop)
        for _ in range(THREADS + THREADS_MAX):
            sock = stack.enter_context(raw_client.connect(server.port))
            sock.sendall(HEAD + b"x")
            assert b" 413 " in raw_client.read_until(sock, b"\r\n\r\n")
        ask = b"GET /ok HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n"
        assert raw_client.send(server.port, ask).status == 200


def test_nobody_else_is_waited_for(line: Line) -> None:
    received = raw_client.send(line.port, HEAD)
    assert (received.status, received.complete) == (413, True)


# ---------------------------------------------------------------- the rules
PROXIES = ClientAddresses(["127.0.0.1"])
FROM_PROXY = {"REMOTE_ADDR": "127.0.0.1"}


class Body(io.BytesIO):
    """Counts how much was read of it."""

    @property
    def left(self) -> int:
        """Bytes that nobody has read."""
        return len(self.getvalue()) - self.tell()


class Answer:
    """A response's body that says whether it was closed."""

    closed = False

    def __iter__(self) -> Iterator[bytes]:
        yield b"no"

    def close(self) -> None:
        """As PEP 3333 wants it called."""
        self.closed = True


def served(
    status: str,
    body: io.BytesIO,
    environ: dict[str, str] | None = None,
    *,
    seconds: float = 30,
) -> list[bytes]:
    """What a server would send of an application that doesn't read."""

    def application(environ: Any, start_response: Any) -> Iterable[bytes]:
        start_response(status, [])
        return [b"no"]

    around = {"CONTENT_LENGTH": "100000", "wsgi.input": body} | FROM_PROXY | (environ or {})
    lingering = LingeringClose(application, PROXIES, seconds)
    return list(lingering(around, lambda *_: lambda _: None))


@pytest.mark.parametrize(
    ("status", "environ", "is_read"),
    [
        ("401 Unauthorized", {}, True),
        ("502 Bad Gateway", {}, True),
        ("401 Unauthorized", {"CONTENT_LENGTH": "", "HTTP_TRANSFER_ENCODING": "chunked"}, True),
        # An answer that isn't a refusal comes after the body, or means to leave it.
        ("200 OK", {}, False),
        # The client waits to be asked for its body, and now it isn't.
        ("413 Content Too Large", {"HTTP_EXPECT": "100-continue"}, False),
        ("404 Not Found", {"CONTENT_LENGTH": "0"}, False),
    ],
)
def test_what_is_read_on(status: str, environ: dict[str, str], is_read: bool) -> None:
    body = Body(b"x" * 100_000)
    assert served(status, body, environ) == [b"no"]
    assert body.left == (0 if is_read else 100_000)


def test_it_ends_when_the_time_is_over() -> None:
    body = Body(b"x" * 100_000)
    assert served("401 Unauthorized", body, seconds=0) == [b"no"]
    assert 0 < body.left < 100_000


def test_a_client_that_leaves_is_no_error() -> None:
    class Gone(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise ConnectionResetError

    assert served("401 Unauthorized", Gone()) == [b"no"]


def test_places_are_given_back_and_the_answer_is_closed() -> None:
    answers: list[Answer] = []

    def application(environ: Any, start_response: Any) -> Answer:
        start_response("401 Unauthorized", [])
        answers.append(Answer())
        return answers[-1]

    lingering = LingeringClose(application, PROXIES)
    for _ in range(THREADS_MAX * 2):
        body = Body(b"x")
        around = {"CONTENT_LENGTH": "1", "wsgi.input": body} | FROM_PROXY
        assert list(lingering(around, lambda *_: lambda _: None)) == [b"no"]
        assert body.left == 0
    assert all(answer.closed for answer in answers)
