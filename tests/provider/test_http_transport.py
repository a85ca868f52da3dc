"""A request has one deadline and a bounded response; the environment has no influence on it."""

import os
import socket
import threading
import time
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import certifi
import pytest

from bff.core.errors import ProviderUnavailable
from bff.provider import ended_exchange, http_transport
from bff.provider.create import create_endpoint_client
from bff.provider.http_transport import Deadline, Transport
from tests.support.certificate import Certificate
from tests.support.fake_provider import FakeProvider, Reply, Request, transaction
from tests.support.http_proxy import HTTPProxy
from tests.support.raw_upstream import RawUpstream, Wire, responding
from tests.support.standalone_provider import StandaloneProvider
from tests.support.tls_front import Front

TIMEOUT_SECONDS = 1.5
"""Long enough for the request to arrive on a machine under load."""
TUNNEL_SECONDS = 4.0
"""The same for one with two connections and a handshake."""
AT_MOST_SECONDS = 8.0
"""Shorter than any of the hangs below."""
JSON = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@pytest.fixture
def warm(provider: StandaloneProvider) -> StandaloneProvider:
    """A client that has loaded metadata and keys."""
    provider.warm_up()
    return provider


@pytest.fixture
def hasty(warm: StandaloneProvider) -> StandaloneProvider:
    """The same with a short timeout from now on."""
    changed = {"provider_timeout_seconds": TIMEOUT_SECONDS}
    warm._client.config = warm._client.config.model_copy(update=changed)
    return warm


def outage(call: Callable[[], Any]) -> ProviderUnavailable:
    """The error that *call* raises, within its time."""
    started_at = time.monotonic()
    with pytest.raises(ProviderUnavailable) as caught:
        call()
    assert time.monotonic() - started_at < AT_MOST_SECONDS
    return caught.value


def drip(fake: FakeProvider, data: bytes, cut: threading.Event) -> Callable[[Any, Request], None]:
    """Send *data* one byte each 50 ms, far faster than any timeout between bytes."""

    def send(handler: Any, _asked: Request) -> None:
        handler.close_connection = True
        try:
            for position in range(len(data)):
                handler.wfile.write(data[position : position + 1])
                if fake.stopping.wait(0.05):
                    return
        except OSError:
            cut.set()

    return send


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"


@pytest.mark.parametrize("data", [HEAD + b"x" * 1000, HEAD[:-2] + b"X-Slow: " + b"x" * 1000],
                         ids=["in the body", "in the head"])  # fmt: skip
def test_a_provider_that_drips_is_cut_off_at_the_deadline(
    fake: FakeProvider, hasty: StandaloneProvider, data: bytes
) -> None:
    cut = threading.Event()
    fake.responders["/oauth/token"] = drip(fake, data, cut)
    assert outage(lambda: hasty.refresh("old")).maybe_acted
    assert cut.wait(5), "the connection stayed open"


def test_a_provider_that_hangs_is_given_up(fake: FakeProvider, hasty: StandaloneProvider) -> None:
    """Authlib has no timeout by default."""

    def hang(_duplicater: Any, _asked: Request) -> Reply:
        fake.stopping.wait(20)
        return Reply(b"")

    fake.responders["/oauth/token"] = hang
    assert outage(lambda: hasty.refresh("old")).maybe_acted
    fake.responders["/oauth/revoke"] = hang
    assert outage(lambda: hasty.revoke("old")).maybe_acted


def test_a_provider_that_hangs_up_after_the_request_may_have_acted(
    fake: FakeProvider, warm: StandaloneProvider
) -> None:
    def hang_up(handler: Any, _asked: Request) -> None:
        handler.close_connection = True

    fake.responders["/oauth/token"] = hang_up
    assert outage(lambda: warm.refresh("old")).maybe_acted
    assert fake.count("/oauth/token") == 1, "a POST must not be repeated"


def test_an_incomplete_response_is_none(fake: FakeProvider, warm: StandaloneProvider) -> None:
    def half(handler: Any, _asked: Request) -> None:
        handler.close_connection = True
        handler.wfile.write(HEAD + b'{"access_token": "x", "token_type": "Bearer"}')

    fake.responders["/oauth/token"] = half
    assert outage(lambda: warm.refresh("old")).maybe_acted


def test_a_refused_connection_has_not_acted(fake: FakeProvider) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        fake.metadata["token_endpoint"] = f"http://127.0.0.1:{unused.getsockname()[1]}/token"
        provider = StandaloneProvider(create_endpoint_client(fake.config()))
        assert not outage(lambda: provider.refresh("old")).maybe_acted
        provider.close()


def test_a_name_lookup_that_hangs_is_given_up(
    fake: FakeProvider, hasty: StandaloneProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The requests library has no timeout for it; after a late lookup nothing is sent."""
    found, connected = threading.Event(), threading.Event()
    look_up = socket.getaddrinfo

    def slow(*arguments: Any, **more: Any) -> Any:
        found.wait(20)
        try:
            return look_up(*arguments, **more)
        finally:
            connected.set()

    monkeypatch.setattr(ended_exchange, "CONNECTION_IDLE_SECONDS", -1.0)
    monkeypatch.setattr(socket, "getaddrinfo", slow)
    assert not outage(lambda: hasty.refresh("old")).maybe_acted
    workers = [t for t in threading.enumerate() if "_work" in t.name]
    found.set()
    assert connected.wait(5)
    for worker in workers:
        worker.join(5)
    assert fake.count("/oauth/token") == 0


def test_a_tls_handshake_that_hangs_has_not_acted() -> None:
    transport = Transport(certifi.where())
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/"
        error = outage(lambda: transport.get_json(url, Deadline(0.3)))
        assert not error.maybe_acted
    transport.close()


@pytest.mark.parametrize("issued_by", ["its own CA", "another CA", "the public ones"])
def test_only_a_certificate_of_the_given_cas_is_accepted(
    issued_by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a server in between would receive the client's secret."""
    certificate, stranger = Certificate(tmp_path), tmp_path / "stranger"
    stranger.mkdir()
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate.ca_file))
    ca_file = {
        "its own CA": str(certificate.ca_file),
        "another CA": str(Certificate(stranger).ca_file),
        "the public ones": certifi.where(),
    }[issued_by]
    transport = Transport(ca_file)
    with RawUpstream() as raw, Front(raw.port, certificate.server_context()) as front:
        url = f"https://127.0.0.1:{front.port}/"
        raw.script = responding(JSON)
        if issued_by == "its own CA":
            assert transport.get_json(url, Deadline(5)) == {}
            assert len(raw.seen) == 1
        else:
            error = outage(lambda: transport.get_json(url, Deadline(5)))
            assert not error.maybe_acted
            assert "SSL" in error.detail
            assert raw.seen == []
        transport.close()


def test_the_proxy_gets_a_request_for_a_tunnel_and_nothing_else(tmp_path: Path) -> None:
    certificate = Certificate(tmp_path)
    with (
        RawUpstream() as raw,
        Front(raw.port, certificate.server_context()) as front,
        HTTPProxy() as proxy,
    ):
        raw.script = responding(JSON)
        where = f"http://user:p%40ss@127.0.0.1:{proxy.port}"
        transport = Transport(str(certificate.ca_file), where)
        for _ in range(2):
            assert transport.get_json(f"https://127.0.0.1:{front.port}/x", Deadline(5)) == {}
        assert [seen.target for seen in raw.seen] == ["/x", "/x"]
        assert {seen.get("proxy-authorization") for seen in raw.seen} == {None}
        [head] = proxy.asked
        assert head.startswith(f"CONNECT 127.0.0.1:{front.port} HTTP/1.")
        login = b64encode(b"user:p@ss").decode()
        assert f"Proxy-Authorization: Basic {login}\r\n" in head
        transport.close()


def test_a_request_through_the_proxy_may_have_acted(tmp_path: Path) -> None:
    """At the deadline the connection is shut, not left to its thread."""
    certificate, left = Certificate(tmp_path), threading.Event()

    def hang(upstream: RawUpstream, wire: Wire) -> None:
        seen = wire.read_request()
        assert seen
        upstream.note(seen)
        assert wire.read_request() is None
        left.set()

    with (
        RawUpstream(hang) as raw,
        Front(raw.port, certificate.server_context()) as front,
        HTTPProxy() as proxy,
    ):
        transport = Transport(str(certificate.ca_file), f"http://127.0.0.1:{proxy.port}")
        url = f"https://127.0.0.1:{front.port}/"
        assert outage(lambda: transport.get_json(url, Deadline(TUNNEL_SECONDS))).maybe_acted
        assert len(raw.seen) == 1
        assert left.wait(AT_MOST_SECONDS)
        transport.close()


@pytest.mark.parametrize("silent", [True, False], ids=["silent", "absent"])
def test_a_proxy_that_opens_no_tunnel_is_an_outage_before_anything_is_sent(
    silent: bool,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        if not silent:
            listening.close()
        transport = Transport(certifi.where(), f"http://127.0.0.1:{port}")
        error = outage(lambda: transport.get_json("https://127.0.0.1:1/x", Deadline(0.5)))
        assert not error.maybe_acted
        transport.close()


def test_a_response_over_a_megabyte_is_none(fake: FakeProvider, warm: StandaloneProvider) -> None:
    """Even if its first megabyte is valid."""
    good = b'{"access_token": "a", "token_type": "Bearer"}'
    fake.token(good + b" " * http_transport.RESPONSE_MAX_BYTES)
    assert outage(lambda: warm.refresh("old")).maybe_acted
    fake.token(good + b" " * (http_transport.RESPONSE_MAX_BYTES - len(good)))
    assert warm.refresh("old").access_token == "a"


def test_no_time_left_sends_nothing(fake: FakeProvider) -> None:
    transport = Transport(certifi.where())
    assert not outage(lambda: transport.get_json(f"{fake.issuer}jwks", Deadline(0))).maybe_acted
    assert fake.asked == []
    transport.close()


def test_the_process_environment_has_no_influence(
    fake: FakeProvider,
    provider: StandaloneProvider,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """A proxy variable would send tokens elsewhere, a netrc would replace our credentials."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login evil password evil\n")
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    fake.token(fake.grant())
    assert provider.exchange_code("c", transaction())
    assert len(fake.asked) == 3
    assert not [asked for asked in fake.asked if "Authorization" in asked.headers]


def test_cookies_of_the_provider_are_not_stored(
    fake: FakeProvider, warm: StandaloneProvider
) -> None:
    fake.token(fake.grant(id_token=None), Set_Cookie="a=b; Path=/")
    warm.refresh("old")
    warm.refresh("old")
    assert "Cookie" not in fake.asked[-1].headers


def test_a_connection_that_idled_too_long_or_is_a_parents_is_not_used_again(
    fake: FakeProvider, warm: StandaloneProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.token(fake.grant(id_token=None))
    warm.refresh("old")
    monkeypatch.setattr(ended_exchange, "CONNECTION_IDLE_SECONDS", -1.0)
    warm.refresh("old")
    monkeypatch.undo()
    before = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: before + 1)
    warm.refresh("old")
    assert len({asked.connection for asked in fake.asked}) == 3


def test_giving_up_late_does_not_shut_the_next_exchange() -> None:
    """Another exchange may use the connection already: only its owner may shut it."""
    first, second = ended_exchange.Exchange(), ended_exchange.Exchange()
    left, right = socket.socketpair()
    connection = ended_exchange.Connection("127.0.0.1", 1)
    connection._duplicate = left
    first.use(connection, sending=True)
    second.use(connection, sending=True)
    first.give_up()
    right.sendall(b"x")
    assert left.recv(1) == b"x"
    second.give_up()
    assert left.recv(1) == b""
    right.close()
    connection.close()


def test_after_giving_up_nothing_is_sent() -> None:
    call = ended_exchange.Exchange()
    call.give_up()
    with pytest.raises(TimeoutError):
        call.use(ended_exchange.Connection("127.0.0.1", 1), sending=True)
    assert not call.sent
