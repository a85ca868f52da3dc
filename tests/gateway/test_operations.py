"""Are observers told of every operation, once, with its outcome, and can they harm none?"""

from __future__ import annotations

import threading
import timeit
from collections.abc import Callable, Iterator

import certifi
import pytest
from flask.testing import FlaskClient

from bff.core import operations
from bff.core.errors import Overloaded, ProviderUnavailable, StoreUnavailable, UpstreamUnreachable
from bff.core.operations import Fact, Operation, observers
from bff.gateway.observed_requests import ObservedRequests
from bff.gateway.unrouted import FlaskWithUnroutedRequests
from bff.gateway.upstream import ClientDisconnected
from bff.provider.http_transport import Deadline, Transport
from bff.store.connection import Database, Script
from bff.store.redis_clients import make_client
from bff.tokens.renewal_timing import wait_for_lock
from bff.tokens.single_flight import SingleFlight
from bff.web import error_responses
from tests.gateway.upstream_requests import upstream_at
from tests.support.fake_provider import FakeProvider
from tests.support.processes import free_port
from tests.support.raw_upstream import RawUpstream
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_for

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
CAS = certifi.where()


class Recorded:
    """An observer that remembers what it was told, and adds a header to what is sent."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.outcomes: list[tuple[str, str, str]] = []
        self.facts: list[tuple[str, str]] = []

    def begin(self, operation: Operation) -> Callable[[], object]:
        self.begun.append(operation.kind)
        operation.headers = {**operation.headers, "traceparent": TRACE}
        return lambda: self.outcomes.append((operation.kind, operation.name, operation.outcome))

    def ended(self, operation: Operation) -> None:
        assert operation.seconds >= 0

    def note(self, fact: Fact, value: str) -> None:
        self.facts.append((fact, value))


class Faulty:
    """An observer that fails wherever it can."""

    def begin(self, operation: Operation) -> Callable[[], object]:
        raise RuntimeError(operation.kind)

    def ended(self, operation: Operation) -> None:
        raise RuntimeError(operation.kind)

    def note(self, fact: Fact, value: str) -> None:
        raise RuntimeError(value)


class FaultyLate(Faulty):
    """One that fails at the end."""

    def begin(self, operation: Operation) -> Callable[[], object]:
        return lambda: 1 / 0


@pytest.fixture
def seen() -> Iterator[Recorded]:
    recorded = Recorded()
    before = list(observers)
    observers.extend([Faulty(), recorded, FaultyLate()])
    yield recorded
    observers[:] = before


def test_commands_scripts_and_batches_of_redis(seen: Recorded, redis_server: RedisServer) -> None:
    database = Database(make_client(redis_server.url, 1.0, CAS), "observed:")
    database.command("GET", "observed:x")
    database.run(Script("return redis.call('GET', KEYS[1]) -- once"), ["observed:x"])
    database.commands(("GET", "observed:x"), ("GET", "observed:y"))
    away = Database(make_client(f"redis://127.0.0.1:{free_port()}/0", 1.0, CAS), "")
    with pytest.raises(StoreUnavailable):
        away.command("GET", "x")
    assert seen.outcomes == [
        ("redis", "GET", "ok"),
        ("redis", "EVALSHA", "ok"),
        ("redis", "EVAL", "ok"),
        ("redis", "pipeline", "ok"),
        ("redis", "GET", "failed"),
    ]


def test_requests_to_an_upstream_carry_the_observer_s_headers(
    seen: Recorded, raw: RawUpstream
) -> None:
    upstream = upstream_at(raw.url)
    for lines in (["x-a: 1", "Traceparent: of the client"], [b"x-a: \xe4", b"traceparent;"]):
        upstream.send_observed("GET", "/x", lines, None)
    assert [one.fields.count(("traceparent", TRACE)) for one in raw.seen] == [1, 1]
    assert [one.get("traceparent") for one in raw.seen] == [TRACE, TRACE]
    with pytest.raises(UpstreamUnreachable):
        upstream_at(f"http://127.0.0.1:{free_port()}").send_observed("GET", "/x", [], None)
    raw.script = lambda _, wire: wire.wait_closed()
    with pytest.raises(ClientDisconnected):
        upstream_at(raw.url).send_observed("GET", "/x", [], None, lambda: True)
    outcomes = [("upstream", "/api", one) for one in ("2xx", "2xx", "failed", "4xx")]
    assert seen.outcomes == outcomes


def test_requests_to_the_provider_carry_them_too(seen: Recorded, fake: FakeProvider) -> None:
    transport = Transport(CAS)
    transport.get(f"{fake.issuer}.well-known/openid-configuration?secret=x", Deadline(5))
    with pytest.raises(ProviderUnavailable):
        transport.get(f"{fake.issuer}keys", Deadline(0))
    assert [one.headers["traceparent"] for one in fake.asked] == [TRACE]
    assert seen.outcomes == [
        ("provider", "/.well-known/openid-configuration", "2xx"),
        ("provider", "/keys", "failed"),
    ]


def test_waits_for_a_renewal_by_another_thread_and_another_process(seen: Recorded) -> None:
    flight, go_on, entered = SingleFlight[str](5.0), threading.Event(), threading.Event()

    def work() -> str:
        entered.set()
        assert go_on.wait(5)
        return "tokens"

    threads = [threading.Thread(target=flight.share, args=("x", work)) for _ in range(2)]
    threads[0].start()
    assert entered.wait(5)
    threads[1].start()
    wait_for(lambda: seen.begun == ["refresh_wait"], "the second one waits")
    go_on.set()
    for thread in threads:
        thread.join()
    results = iter([None, None, "tokens"])
    assert wait_for_lock(lambda: next(results), 5, "") == "tokens"
    assert wait_for_lock(lambda: "at once", 5, "") == "at once"
    assert seen.outcomes == [("refresh_wait", "process", "ok"), ("refresh_wait", "lock", "ok")]


@pytest.fixture
def client() -> FlaskClient:
    app = FlaskWithUnroutedRequests(__name__, static_folder=None)
    error_responses.register(app)

    @app.get("/fine/<name>", endpoint="fine")
    def fine(name: str) -> str:
        return name

    @app.get("/busy", endpoint="busy")
    def busy() -> str:
        raise Overloaded("")

    app.wsgi_app = ObservedRequests(app.wsgi_app)  # type: ignore[method-assign]
    return app.test_client()


def test_requests_to_us_are_named_by_their_endpoint_whatever_the_path(
    seen: Recorded, client: FlaskClient
) -> None:
    for path in ("/fine/1", "/fine/2", "/busy", "/no/such"):
        client.get(path)
    client.open("/fine/1", method="MADE-UP")
    assert seen.outcomes == [
        ("request", "fine", "2xx"),
        ("request", "fine", "2xx"),
        ("request", "busy", "5xx"),
        ("request", "none", "4xx"),
        ("request", "none", "4xx"),
    ]
    codes = [value for fact, value in seen.facts if fact == "error_response"]
    assert codes == ["overloaded", "not_found", "method_not_allowed"]


def test_an_operation_is_freed_at_its_end_with_the_request_that_it_holds(seen: Recorded) -> None:
    """Not when garbage is next collected: until then a cookie would be in memory."""
    with Operation("request", "x", "GET", {}) as operation:
        pass
    assert operation.ends is None


def test_off_an_operation_costs_one_look_at_an_empty_list() -> None:
    """In nanoseconds; far more than it takes, for a busy machine, and less than an operation."""
    assert observers == []
    bare = min(timeit.repeat("pass", number=100_000, repeat=5))
    asked = min(
        timeit.repeat("if observers: pass", number=100_000, repeat=5, globals=vars(operations))
    )
    assert (asked - bare) * 1e9 / 100_000 < 200
