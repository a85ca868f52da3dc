"""Several addresses of one upstream: in rotation, without those that can't be connected to."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

from bff.config.route import Route
from bff.core.errors import UpstreamTimeout, UpstreamUnreachable
from bff.gateway import upstream_pool
from bff.gateway.curl_connection import CurlConnection
from bff.gateway.upstream import Upstream
from tests.gateway.upstream_requests import read, send
from tests.support.processes import free_port
from tests.support.raw_upstream import RESPONSE, RawUpstream, Wire, responding


class Clock:
    """Replaces the monotonic clock of the addresses."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def monotonic(self) -> float:
        """Seconds."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(upstream_pool, "time", clock)
    return clock


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The port of each address, in the order in which they are tried."""
    ports: list[int] = []
    take = upstream_pool.UpstreamAddress.take

    def noted(self: upstream_pool.UpstreamAddress, *, repeatable: bool) -> CurlConnection:
        ports.append(self.origin[2])
        return take(self, repeatable=repeatable)

    monkeypatch.setattr(upstream_pool.UpstreamAddress, "take", noted)
    return ports


@pytest.fixture
def three() -> Iterator[list[RawUpstream]]:
    with ExitStack() as stack:
        yield [stack.enter_context(RawUpstream()) for _ in range(3)]


def upstream_at(*urls: str, timeout_seconds: float = 4.0) -> Upstream:
    return Upstream(
        Route(
            prefix="/api",
            upstream_urls=urls,
            connect_timeout_seconds=timeout_seconds / 4,
            answer_timeout_seconds=timeout_seconds,
        )
    )


def unreachable_url() -> str:
    return f"http://127.0.0.1:{free_port()}"


def counts(upstreams: list[RawUpstream]) -> list[int]:
    return [len(one.seen) for one in upstreams]


def test_requests_rotate_over_all_addresses(three: list[RawUpstream]) -> None:
    upstream = upstream_at(*(one.url for one in three))
    for _ in range(9):
        assert read(send(upstream)) == b"ok"
    assert counts(three) == [3, 3, 3]
    assert [seen.get("host") for seen in three[1].seen] == [f"127.0.0.1:{three[1].port}"] * 3
    assert {len(one.wires) for one in three} == {1}, "each address reuses its connection"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_address_that_refuses_is_skipped(
    three: list[RawUpstream], method: str, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing was sent to it, so a write is sent to the next one, too."""
    away = unreachable_url()
    upstream = upstream_at(away, three[0].url, three[1].url)
    body = b"x" if method == "POST" else None
    for _ in range(6):
        assert read(send(upstream, method, body)) == b"ok"
    assert sum(counts(three)) == 6
    tried = [r for r in caplog.records if "can't be connected to" in r.message]
    assert len(tried) == 1, "tried once, then skipped"
    assert away in tried[0].message


def test_one_request_tries_it_again_later(raw: RawUpstream, clock: Clock, tried: list[int]) -> None:
    port = free_port()
    upstream = upstream_at(f"http://127.0.0.1:{port}", raw.url)
    for _ in range(4):
        send(upstream)
    assert tried.count(port) == 1
    clock.now += upstream_pool.SKIPPED_SECONDS - 0.1
    send(upstream)
    assert tried.count(port) == 1
    clock.now += 0.2
    for _ in range(4):
        send(upstream)
    assert tried.count(port) == 2
    with RawUpstream(port=port) as back:
        clock.now += upstream_pool.SKIPPED_SECONDS + 0.1
        for _ in range(4):
            assert read(send(upstream)) == b"ok"
        assert len(back.seen) >= 2, "it is used again"


def test_only_one_request_at_a_time_tries_a_skipped_address(clock: Clock) -> None:
    """The others try it only if all else fails."""
    route = Route(prefix="/api", upstream_urls=("http://a", "http://b", "http://c"))
    pool = upstream_pool.UpstreamPool(route)
    away = next(one for one in pool.addresses_to_try() if one.origin[1] == "b")
    away.mark_unreachable()
    assert [pool.addresses_to_try()[-1] for _ in range(3)] == [away] * 3
    clock.now += upstream_pool.SKIPPED_SECONDS + 0.1
    assert pool.addresses_to_try()[0] is away
    assert [pool.addresses_to_try()[-1] for _ in range(3)] == [away] * 3, "while that one tries"
    away.mark_reachable()
    assert {pool.addresses_to_try()[0].origin[1] for _ in range(3)} == {"a", "b", "c"}


def test_an_address_that_hangs_delays_one_request_only(three: list[RawUpstream]) -> None:
    """A full backlog drops what comes, as a firewall would."""
    with ExitStack() as stack:
        listener = stack.enter_context(closing(socket.socket()))
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(closing(socket.socket()))
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        hanging = f"http://127.0.0.1:{listener.getsockname()[1]}"
        upstream = upstream_at(hanging, three[0].url)
        for _ in range(5):
            assert read(send(upstream)) == b"ok"
        assert counts(three) == [5, 0, 0]
        with pytest.raises(UpstreamTimeout):
            send(upstream_at(hanging))


def test_when_all_are_unreachable_it_is_a_502_and_each_request_tries_all(
    tried: list[int],
) -> None:
    upstream = upstream_at(unreachable_url(), unreachable_url(), unreachable_url())
    for number in (3, 6):
        with pytest.raises(UpstreamUnreachable):
            send(upstream, "POST", b"x")
        assert len(tried) == number


@pytest.mark.parametrize(("method", "body"), [("POST", b"one"), ("DELETE", None)])
def test_a_request_that_may_have_had_an_effect_is_sent_to_no_other_address(
    three: list[RawUpstream], method: str, body: bytes | None
) -> None:
    def acts_and_closes(upstream: RawUpstream, wire: Wire) -> None:
        seen = wire.read_request()
        assert seen is not None
        upstream.note(seen)

    for one in three:
        one.script = acts_and_closes
    upstream = upstream_at(*(one.url for one in three))
    with pytest.raises(UpstreamUnreachable):
        send(upstream, method, body)
    assert sum(counts(three)) == 1


def test_an_address_with_bad_responses_is_not_skipped(three: list[RawUpstream]) -> None:
    """It can be connected to; whether it works is up to its own load balancer."""

    def garbage(upstream: RawUpstream, wire: Wire) -> None:
        seen = wire.read_request()
        assert seen is not None
        upstream.note(seen)
        wire.send(b"garbage\r\n\r\n" if upstream is three[0] else RESPONSE)

    for one in three:
        one.script = garbage
    upstream = upstream_at(*(one.url for one in three))
    said = []
    for _ in range(6):
        try:
            said.append(read(send(upstream)))
        except UpstreamUnreachable:
            said.append(b"502")
    assert said.count(b"502") == 2
    assert counts(three) == [2, 2, 2]


@pytest.mark.parametrize(
    ("method", "body", "announced", "idle_seconds", "reused"),
    [
        ("POST", None, "", 3, True),
        ("POST", None, "", 5, False),
        ("DELETE", None, "timeout=65, max=100", 60, True),
        ("POST", None, "max=100, Timeout=65", 64.5, False),
        ("POST", None, "timeout=2", 1.5, False),
        ("POST", None, "timeout=soon", 5, False),
        # A read is sent again when the connection closes at that moment.
        ("GET", None, "timeout=2", 50, True),
        ("GET", b"", "timeout=2", 50, True),
        # But not its body.
        ("GET", b"x", "timeout=2", 1.5, False),
        ("OPTIONS", b"x", "", 5, False),
    ],
)
def test_a_write_uses_no_connection_that_the_upstream_may_be_about_to_close(
    clock: Clock,
    raw: RawUpstream,
    method: str,
    body: bytes | None,
    announced: str,
    idle_seconds: float,
    reused: bool,
) -> None:
    header = f"Keep-Alive: {announced}\r\n".encode() if announced else b""
    raw.script = responding(RESPONSE.replace(b"\r\n", b"\r\n" + header, 1))
    upstream = upstream_at(raw.url)
    clock.now = time.monotonic()
    assert read(send(upstream)) == b"ok"
    clock.now = time.monotonic() + idle_seconds
    assert read(send(upstream, method, body)) == b"ok"
    first, second = raw.seen
    assert (first.connection == second.connection) == reused


@pytest.mark.parametrize(
    ("idle_seconds", "dropped", "closed", "kept_max"),
    [
        (0, False, 0, 32),
        (59, False, 0, 2),
        (61, False, 2, 2),
        (0, True, 2, 2),
        (0, False, 1, 1),
        (0, False, 2, 0),
    ],
)
def test_connections_that_wait_in_vain_are_closed_without_another_request(
    clock: Clock, raw: RawUpstream, idle_seconds: float, dropped: bool, closed: int, kept_max: int
) -> None:
    route = Route(prefix="/api", upstream_urls=(raw.url,), idle_connections_max=kept_max)
    upstream = Upstream(route)
    clock.now = time.monotonic()
    # Two at once, so that there are two connections.
    raw.script = responding(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nok")
    exchanges = [send(upstream), send(upstream)]
    for wire in raw.wires:
        wire.send(b"ok")
    assert [read(exchange) for exchange in exchanges] == [b"okok"] * 2
    if dropped:
        raw.drop_connections()
    clock.now = time.monotonic() + idle_seconds
    seen_closed = 0
    while dropped and seen_closed < closed:
        seen_closed += upstream.close_idle()
    assert seen_closed + upstream.close_idle() == closed
    assert upstream.close_idle() == 0
