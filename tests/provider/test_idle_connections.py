"""Are connections closed that no request will use again, though no request comes that notices?"""

from __future__ import annotations

import json
from collections.abc import Iterator

import certifi
import psutil
import pytest

from bff.app import factory
from bff.config import load
from bff.provider import ended_exchange
from bff.provider.http_transport import Deadline, Transport
from tests.support.application import stop
from tests.support.fake_provider import KEY
from tests.support.raw_upstream import RawUpstream, Wire, responding
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_for

JSON = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
HALF_CLOSED = psutil.CONN_CLOSE_WAIT
OPEN = (psutil.CONN_ESTABLISHED, HALF_CLOSED)


@pytest.fixture
def raw() -> Iterator[RawUpstream]:
    with RawUpstream(responding(JSON)) as raw:
        yield raw


def sockets_to(raw: RawUpstream, *statuses: str) -> int:
    """How many sockets of this process are connected to *raw*, with one of these statuses."""
    found = psutil.Process().net_connections("tcp")
    return sum(one.status in statuses and one.raddr[1:] == (raw.port,) for one in found)


@pytest.mark.parametrize("through", ["", "a proxy"])
@pytest.mark.parametrize(
    ("what", "closed"),
    [("in use a moment ago", 0), ("idle for long", 1), ("closed by the provider", 1)],
)
def test_what_would_not_be_used_again_is_closed(
    raw: RawUpstream, monkeypatch: pytest.MonkeyPatch, what: str, closed: int, through: str
) -> None:
    # A plain HTTP request goes through a proxy as it is, so one server plays both.
    url, proxy = ("http://provider.example/", raw.url) if through else (raw.url, None)
    transport = Transport(certifi.where(), proxy)
    assert transport.get_json(url, Deadline(20)) == {}
    if what == "idle for long":
        monkeypatch.setattr(ended_exchange, "CONNECTION_IDLE_SECONDS", -1.0)
    elif what == "closed by the provider":
        raw.drop_connections()
        wait_for(lambda: sockets_to(raw, HALF_CLOSED) == 1, "the end of the provider's side")
    assert transport.close_idle() == closed
    assert sockets_to(raw, HALF_CLOSED) == 0
    assert sockets_to(raw, psutil.CONN_ESTABLISHED) >= 1 - closed
    monkeypatch.undo()
    assert transport.get_json(url, Deadline(20)) == {}
    assert raw.seen[1].connection == closed, "a good one is used again"
    transport.close()
    assert transport.close_idle() == 0


def test_nothing_of_the_application_stays_half_closed(
    monkeypatch: pytest.MonkeyPatch, redis_server: RedisServer, redis_prefix: str
) -> None:
    monkeypatch.setattr(factory, "IDLE_CONNECTIONS_SECONDS", 0.1)

    def metadata(raw: RawUpstream, wire: Wire) -> None:
        names = ("authorization_endpoint", "token_endpoint", "jwks_uri")
        document = {
            "issuer": raw.url,
            "keys": [KEY.as_dict(private=False)],
            **{n: f"{raw.url}/{n}" for n in names},
        }
        body = json.dumps(document).encode()
        while seen := wire.read_request():
            raw.note(seen)
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n"
            wire.send(head.encode() + body)

    with RawUpstream(metadata) as provider:
        environment = {
            "OIDC_ISSUER": provider.url,
            "AUTH0_CLIENT_ID": "client",
            "AUTH0_CLIENT_SECRET": "client-secret",
            "AUTH0_SECRET": "s" * 40,
            "APP_BASE_URL": "https://app.example.com",
            "BFF_API_URL": "http://api.example.com",
            "REDIS_URL": redis_server.url,
            "BFF_REDIS_PREFIX": redis_prefix,
        }
        app = factory.create_app(load(environment))
        services = app.extensions["bff"]
        try:
            wait_for(lambda: services.provider.ready, "metadata and keys")
            provider.drop_connections()
            wait_for(lambda: sockets_to(provider, *OPEN) == 0, "the end of our side")
        finally:
            stop(app)
