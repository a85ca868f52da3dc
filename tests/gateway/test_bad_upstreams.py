"""Upstreams that break every rule, through real servers: cut off early, in bounded memory."""

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
from tests.gateway.conftest import APP, UPSTREAM_TIMEOUT_SECONDS, Line
from tests.support import raw_client
from tests.support.processes import free_port
from tests.support.raw_upstream import RawUpstream, Wire, answering
from tests.support.servers import SERVERS, start_server
from tests.support.waiting import wait_for

FLOOD_BYTES = 100 * 1024**2
MEMORY_BYTES = 24 * 1024**2
QUICKLY_SECONDS = 5.0
OURS = "https://app.test"

_FIELDS = b"".join(b"X-%d: %s\r\n" % (number, b"v" * 100) for number in range(1000))
FLOODS: dict[str, tuple[bytes, bytes]] = {
    "fields": (b"HTTP/1.1 200 OK\r\n", _FIELDS),
    "tiny fields": (b"HTTP/1.1 200 OK\r\n", b"a:\r\n" * 20_000),
    "one field": (b"HTTP/1.1 200 OK\r\nX: ", b"v" * 100_000),
    "one status line": (b"HTTP/1.1 200 ", b"v" * 100_000),
    "100 Continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 4_000),
    "103 Early Hints": (b"", b"HTTP/1.1 103 Early\r\nLink: </x>\r\n\r\n" * 3_000),
}
"""How an answer begins that never gets to its body, and what it goes on with."""


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
def test_a_head_without_end_is_cut_off_early(line: Line, start: bytes, piece: bytes) -> None:
    sent = [0]
    line.raw.script = flooding(start, piece, sent)
    before = memory(line.port)
    started = time.monotonic()
    answer = raw_client.request(line.port, "/api/x")
    assert (answer.status, answer.fields["x-code"]) == (502, "upstream_unreachable")
    assert time.monotonic() - started < QUICKLY_SECONDS
    assert sent[0] < FLOOD_BYTES // 4, "the sockets' buffers and little more"
    assert memory(line.port) - before < MEMORY_BYTES
    assert len(line.raw.seen) == 1, "not asked again"
    line.raw.script = answering()
    assert raw_client.request(line.port, "/api/x").status == 200


def test_trailers_without_end_break_the_answer_off(line: Line) -> None:
    """By then the browser has the head; what it must not take is half for the whole."""
    sent = [0]
    start = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n"
    line.raw.script = flooding(start, _FIELDS, sent)
    before = memory(line.port)
    answer = raw_client.request(line.port, "/api/x")
    assert answer.status == 502 or not answer.complete
    assert sent[0] < FLOOD_BYTES // 4
    assert memory(line.port) - before < MEMORY_BYTES


def test_fields_that_come_one_by_one_for_ever_are_a_504(line: Line) -> None:
    def script(upstream: RawUpstream, connection: Wire) -> None:
        connection.read_request()
        with suppress(OSError):
            connection.send(b"HTTP/1.1 200 OK\r\n")
            while not select.select([connection.sock], [], [], 0.05)[0]:
                connection.send(b"X: y\r\n")

    line.raw.script = script
    started = time.monotonic()
    answer = raw_client.request(line.port, "/api/x")
    assert (answer.status, answer.fields["x-code"]) == (504, "upstream_timeout")
    took = time.monotonic() - started
    assert UPSTREAM_TIMEOUT_SECONDS - 0.5 < took < 2 * UPSTREAM_TIMEOUT_SECONDS


def test_trailers_and_1xx_do_not_reach_the_browser(line: Line) -> None:
    line.raw.script = answering(
        b"HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\nSet-Cookie: a=b\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n"
        b"2\r\nok\r\n0\r\nX-T: 1\r\nSet-Cookie: session=evil\r\n\r\n"
    )
    answer = raw_client.request(line.port, "/api/x")
    assert answer.status == 200
    for word in (b"103", b"preload", b"a=b", b"X-T", b"evil"):
        assert word not in answer.raw


def stands_still(sent: list[int]) -> bool:
    before = sent[0]
    time.sleep(0.3)
    return sent[0] == before


def test_a_body_without_end_flows_until_the_client_has_enough(line: Line) -> None:
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

    line.raw.script = script
    before = memory(line.port)
    with raw_client.connect(line.port) as sock:
        sock.sendall(b"GET /api/x HTTP/1.1\r\nHost: app.test\r\n\r\n")
        got = 0
        while got < FLOOD_BYTES:
            got += len(sock.recv(1_000_000))
        # How much the sockets hold is the system's affair; that it has an end is ours.
        wait_for(lambda: stands_still(sent), "the upstream to be held back")
        assert memory(line.port) - before < MEMORY_BYTES
    assert freed.wait(15), "the upstream is let go when the client is gone"


def test_a_redirect_to_another_host_is_passed_on_and_not_followed(line: Line) -> None:
    """The browser may go there, without our cookie; we don't, with the token."""
    with RawUpstream() as other:
        for location in (f"{other.url}/x", f"//127.0.0.1:{other.port}/x"):
            line.raw.script = answering(
                b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: %s\r\n\r\n"
                % location.encode()
            )
            line.raw.drop_connections()
            answer = raw_client.request(line.port, "/api/x")
            assert (answer.status, answer.fields["location"]) == (302, location)
        assert other.wires == []


@pytest.mark.parametrize("kind", ["silence", "close", "reset"])
def test_nothing_at_all_is_an_error_of_ours(line: Line, kind: str) -> None:
    def script(upstream: RawUpstream, connection: Wire) -> None:
        seen = connection.read_request()
        assert seen is not None
        upstream.note(seen)
        if kind == "silence":
            connection.wait_closed()
        elif kind == "reset":
            connection.reset()

    line.raw.script = script
    answer = raw_client.request(line.port, "/api/x", method="POST", body=b"x")
    expected = (504, "upstream_timeout") if kind == "silence" else (502, "upstream_unreachable")
    assert (answer.status, answer.fields["x-code"]) == expected
    assert len(line.raw.seen) == 1


# ---------------------------------------------------------------- ourselves by another name


@pytest.mark.parametrize("kind", SERVERS)
def test_an_upstream_that_is_ourselves_by_another_name_is_a_508(kind: str) -> None:
    """It is asked once, and says so; the answer comes back."""
    port = free_port()
    env = {"BFF_API_URL": f"http://localhost:{port}/api/again", "APP_BASE_URL": OURS}
    with start_server(kind, APP, env=env, port=port):
        started = time.monotonic()
        answer = raw_client.request(port, "/api/x")
        assert (answer.status, b"upstream_loop" in answer.body) == (508, True)
        assert time.monotonic() - started < QUICKLY_SECONDS


def test_a_route_to_our_own_sign_in_is_a_loop_too(tmp_path: Path) -> None:
    """Whatever path it leads to: nothing of ours answers what we sent ourselves."""
    port = free_port()
    file = tmp_path / "routes.toml"
    file.write_text(f'[[route]]\nprefix = "/x"\nupstream = "http://localhost:{port}"')
    with start_server("granian", APP, env={"BFF_ROUTES_FILE": str(file)}, port=port):
        assert raw_client.request(port, "/ok").status == 200
        assert raw_client.request(port, "/x/ok").status == 508


def test_a_ring_of_two_is_a_508() -> None:
    """Each of them believes no other's Via, and keeps the names of our kind all the same."""
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
def test_who_writes_our_name_stops_nobody_but_himself(line: Line, via: str, status: int) -> None:
    assert raw_client.request(line.port, "/api/x", f"Via: {via}").status == status
    assert raw_client.request(line.port, "/api/x").status == 200


def test_the_names_of_our_kind_go_on_and_nothing_else(line: Line) -> None:
    raw_client.request(line.port, "/api/x", "Via: 1.1 evil, 1.1 bff-0123abcd (evil), 1.1 bff-evil")
    assert line.raw.seen[0].get("via") == f"1.1 bff-0123abcd, 1.1 {Via(OURS).name}"
