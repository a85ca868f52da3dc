"""An idle connection keeps nothing of the request that it carried."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable

import pytest

from bff.core.errors import BFFError
from bff.gateway.curl_connection import CurlConnection
from bff.gateway.request_body import RequestBody
from bff.gateway.upstream import Upstream
from tests.gateway.upstream_requests import read, upstream_at
from tests.support.raw_upstream import RawUpstream, Wire, responding
from tests.support.waiting import wait_for

LINES = ["authorization: Bearer the-token", "cookie: a=the-cookie"]


class Stream:
    """A client's body, and its request's environment."""

    def __init__(self, next_piece: Callable[[int], bytes]) -> None:
        self.read = next_piece


def hang_up(_: int) -> bytes:
    raise ConnectionResetError


def idle_connection(upstream: Upstream) -> CurlConnection:
    """Taken out of the pool."""
    address = upstream._pool.addresses_to_try()[0]
    return address.take(repeatable=True)


def refuse(_: RawUpstream, wire: Wire) -> None:
    wire.read_request()
    wire.reset()


@pytest.mark.parametrize("fails", [False, True])
def test_an_idle_connection_keeps_neither_request_nor_response(
    raw: RawUpstream, fails: bool
) -> None:
    upstream = upstream_at(raw.url)
    if fails:
        raw.script = refuse
    try:
        exchange = upstream.send("GET", "/x?q=the-query", LINES, None)
        assert (read(exchange), fails) == (b"ok", False)
    except BFFError:
        assert fails
    raw.script = responding()
    connection = idle_connection(upstream)
    assert (connection.header_lines, connection.chunks) == ([], [])
    assert connection.body_error is None
    # What libcurl still holds shows when it sends once more.
    connection._multi.add_handle(connection._easy)
    wait_for(lambda: connection._multi.perform()[1] == 0, "the response")
    again = raw.seen[-1]
    assert (again.get("authorization"), again.get("cookie"), again.target) == (None, None, "/")
    connection.close()


def test_a_body_that_broke_off_is_forgotten(raw: RawUpstream) -> None:
    """Its error has the frames of the request: body, headers, environment."""
    upstream = upstream_at(raw.url)
    stream = Stream(hang_up)
    kept = weakref.ref(stream)

    def send(body: RequestBody) -> None:
        with pytest.raises(BFFError, match="unreadable"):
            upstream.send("POST", "/x", LINES, body)

    send(RequestBody(stream, 10_000_000, 0))
    del stream
    gc.collect()
    assert kept() is None
    # And no handle with the buffers of an upload waits for another request.
    assert not upstream._pool.addresses_to_try()[0]._idle
