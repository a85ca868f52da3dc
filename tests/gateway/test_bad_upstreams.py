"""Upstreams that violate HTTP, through real servers: broken off early, in bounded memory."""

from __future__ import annotations

import json
import select
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from bff.gateway.loop_detection import HOPS_MAX, Via
from tests.gateway.conftest import APP, UPSTREAM_TIMEOUT_SECONDS, RunningProxy
from tests.support import raw_client
from tests.support.processes import free_port
from tests.support.raw_upstream import RawUpstream, Wire, responding
from tests.support.servers import SERVERS, start_server
from tests.support.waiting import wait_for

FLOOD_BYTES = 100 * 1024**2
MEMORY_BYTES = 24 * 1024**2
QUICKLY_SECONDS = 5.0
OURS = "https://app.test"

_HEADERS = b"".join(b"X-%d: %s\r\n" % (number, b"v" * 100) for number in range(1000))
FLOODS: dict[str, tuple[bytes, bytes]] = {
    "headers": (b"HTTP/1.1 200 OK\r\n", _HEADERS),
    "tiny headers": (b"HTTP/1.1 200 OK\r\n", b"a:\r\n" * 20_000),
    "one header": (b"HTTP/1.1 200 OK\r\nX: ", b"v" * 100_000),
    "one status line": (b"HTTP/1.1 200 ", b"v" * 100_000),
    "100 Continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 4_000),
    "103 Early Hints": (b"", b"HTTP/1.1 103 Early\r\nLink: </x>\r\n\r\n" * 3_000),
}
"""The beginning of a response that never reaches its body, and what is then repeated."""


def memory(port: int) -> int:
    got = raw_client.request(port, "/memory")
    return int(json.loads(got.raw[got.raw.index(b"{") : got.raw.rindex(b"}") + 1])["rss_bytes"])


def flooding(start: bytes, piece: bytes, sent: list[int]) -> Callable[[RawUpstream, Wire], None]:
    def script(upstream: RawUpstream, connection: Wire) -> None:
        seen = connection.read_request()
        assert seen is not None
        upstream.note(seen)
        with suppress(OSError):
            connection.send(start)
            while sent[0] < FLOOD_BYTES:
                connection.send(piece)
                sent[0] += len(piece)

    return script


@pytest.mark.parametrize(("start", "piece"), FLOODS.values(), ids=FLOODS)
def test_an_endless_head_is_broken_off_early(
    proxy: RunningProxy, start: bytes, piece: bytes
) -> None:
    sent = [0]
    proxy.raw.script = flooding(start, piece, sent)
    before = memory(proxy.port)
    started = time.monotonic()
    response = raw_client.request(proxy.port, "/api/x")
    assert (response.status, response.fields["x-code"]) == (502, "upstream_unreachable")
    assert time.monotonic() - started < QUICKLY_SECONDS
    assert sent[0] < FLOOD_BYTES // 4, "the sockets' buffers and little more"
    assert memory(proxy.port) - before < MEMORY_BYTES
    assert len(proxy.raw.seen) == 1, "not sent again"
    proxy.raw.script = responding()
    assert raw_client.request(proxy.port, "/api/x").status == 200


def test_endless_trailers_break_off_the_response(proxy: RunningProxy) -> None:
    """The browser has the head by then; half a response must not pass for a complete one."""
    sent = [0]
    start = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n"
    proxy.raw.script = flooding(start, _HEADERS, sent)
    before = memory(proxy.port)
    response = raw_client.request(proxy.port, "/api/x")
    assert response.status == 502 or not response.complete
    assert sent[0] < FLOOD_BYTES // 4
    assert memory(proxy.port) - before < MEMORY_BYTES


def test_headers_that_trickle_in_for_ever_are_a_504(proxy: RunningProxy) -> None:
    def script(upstream: RawUpstream, connection: Wire) -> None:
        connection.read_request()
        with suppress(OSError):
            connection.send(b"HTTP/1.1 200 OK\r\n")
            while not select.select([connection.sock], [], [], 0.05)[0]:
                connection.send(b"X: y\r\n")

    proxy.raw.script = script
    started = time.monotonic()
    response = raw_client.request(proxy.port, "/api/x")
    assert (response.status, response.fields["x-code"]) == (504, "upstream_timeout")
    took = time.monotonic() - started
    assert UPSTREAM_TIMEOUT_SECONDS - 0.5 < took < 2 * UPSTREAM_TIMEOUT_SECONDS


def test_trailers_and_1xx_do_not_reach_the_browser(proxy: RunningProxy) -> None:
    proxy.raw.script = responding(
        b"HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\nSet-Cookie: a=b\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n"
        b"2\r\nok\r\n0\r\nX-T: 1\r\nSet-Cookie: session=evil\r\n\r\n"
    )
    response = raw_client.request(proxy.port, "/api/x")
    assert response.status == 200
    for word in (b"103", b"preload", b"a=b", b"X-T", b"evil"):
        assert word not in response.raw


def stands_still(sent: list[int]) -> bool:
    before = sent[0]
    time.sleep(0.3)
    return sent[0] == before


def test_an_endless_body_flows_until_the_client_disconnects(proxy: RunningProxy) -> None:
    sent = [0]
    freed = threading.Event()

    def script(upstream: RawUpstream, connection: Wire) -> None:
        connection.read_request()
        try:
            connection.send(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                connection.send(b"x" * 65_536)
                sent[0] += 65_536
        except OSError:
            freed.set()

    proxy.raw.script = script
    before = memory(proxy.port)
    with raw_client.connect(proxy.port) as sock:
        sock.sendall(b"GET /api/x HTTP/1.1\r\nHost: app.test\r\n\r\n")
        got = 0
        while got < FLOOD_BYTES:
            got += len(sock.recv(1_000_000))
        # How much the sockets buffer is up to the system; but it must be bounded.
        wait_for(lambda: stands_still(sent), "the upstream to be held back")
        assert memory(proxy.port) - before < MEMORY_BYTES
    assert freed.wait(15), "the upstream is released when the client has disconnected"


def test_a_redirect_to_another_host_is_passed_on_and_not_followed(proxy: RunningProxy) -> None:
    """The browser may go there, without our cookie; we don't follow it, with the token."""
    with RawUpstream() as other:
        for location in (f"{other.url}/x", f"//127.0.0.1:{other.port}/x"):
            proxy.raw.script = responding(
                b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: %s\r\n\r\n"
                % location.encode()
            )
            proxy.raw.drop_connections()
            response = raw_client.request(proxy.port, "/api/x")
            assert (response.status, response.fields["location"]) == (302, location)
        assert other.wires == []


@pytest.mark.parametrize("kind", ["silence", "close", "reset"])
def test_no_response_at_all_is_an_error_of_ours(proxy: RunningProxy, kind: str) -> None:
    def script(upstream: RawUpstream, connection: Wire) -> None:
        seen = connection.read_request()
        assert seen is not None
        upstream.note(seen)
        if kind == "silence":
            connection.wait_closed()
        elif kind == "reset":
            connection.reset()

    proxy.raw.script = script
    response = raw_client.request(proxy.port, "/api/x", method="POST", body=b"x")
    expected = (504, "upstream_timeout") if kind == "silence" else (502, "upstream_unreachable")
    assert (response.status, response.fields["x-code"]) == expected
    assert len(proxy.raw.seen) == 1


# ---------------------------------------------------------------- loops


@pytest.mark.parametrize("kind", SERVERS)
def test_an_upstream_that_leads_back_to_us_is_a_508(kind: str) -> None:
    """The forwarded request gets the error, and the error comes back."""
    port = free_port()
    env = {"BFF_API_URL": f"http://localhost:{port}/api/again", "APP_BASE_URL": OURS}
    with start_server(kind, APP, env=env, port=port):
        started = time.monotonic()
        response = raw_client.request(port, "/api/x")
        assert (response.status, b"upstream_loop" in response.body) == (508, True)
        assert time.monotonic() - started < QUICKLY_SECONDS


def test_a_route_to_our_own_sign_in_is_a_loop_too(tmp_path: Path) -> None:
    """No path of ours accepts a request that we have forwarded."""
    port = free_port()
    file = tmp_path / "routes.toml"
    file.write_text(f'[[route]]\nprefix = "/x"\nupstream = "http://localhost:{port}"')
    with start_server("granian", APP, env={"BFF_ROUTES_FILE": str(file)}, port=port):
        assert raw_client.request(port, "/ok").status == 200
        assert raw_client.request(port, "/x/ok").status == 508


def test_a_loop_of_two_is_a_508() -> None:
    """Neither trusts the other's Via, but the names of BFFs pass."""
    ports = [free_port(), free_port()]
    one = {"BFF_API_URL": f"http://127.0.0.1:{ports[1]}/api", "APP_BASE_URL": "https://one.test"}
    two = {"BFF_API_URL": f"http://127.0.0.1:{ports[0]}/api", "APP_BASE_URL": "https://two.test"}
    with (
        start_server("granian", APP, env=one, port=ports[0]),
        start_server("granian", APP, env=two, port=ports[1]),
    ):
        assert raw_client.request(ports[0], "/api/x").status == 508


@pytest.mark.parametrize(
    ("via", "status"),
    [
        (f"1.1 {Via(OURS).name}", 508),
        (f"1.1 edge, 1.1 {Via(OURS).name}, 1.1 other", 508),
        (", ".join(["1.1 bff-00000000"] * (HOPS_MAX + 1)), 508),
        ("1.1 bff-00000000", 200),
        ("1.1 edge", 200),
        ("", 200),
    ],
)
def test_a_client_that_writes_our_name_blocks_only_its_own_request(
    proxy: RunningProxy, via: str, status: int
) -> None:
    assert raw_client.request(proxy.port, "/api/x", f"Via: {via}").status == status
    assert raw_client.request(proxy.port, "/api/x").status == 200


def test_the_names_of_bffs_pass_and_nothing_else(proxy: RunningProxy) -> None:
    raw_client.request(proxy.port, "/api/x", "Via: 1.1 evil, 1.1 bff-0123abcd (evil), 1.1 bff-evil")
    assert proxy.raw.seen[0].get("via") == f"1.1 bff-0123abcd, 1.1 {Via(OURS).name}"
