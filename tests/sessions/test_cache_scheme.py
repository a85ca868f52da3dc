"""Why no remembered session outlives the answer to its end: each part of the scheme, held against
a network that withholds what Redis tells, and against what would break it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
import redis

from bff.core.errors import StoreUnavailable
from bff.revocation.cache_lease import CacheLease
from bff.store.change_tracking import ChangeTracking
from demo.redis.embedded import EmbeddedRedis, Source, sources
from tests.support.bench import Bench
from tests.support.caching_process import CachingProcess, revocation_with
from tests.support.processes import guardian
from tests.support.redis_front import RedisFront
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_for

LEASE_SECONDS = 30.0
"""Passes on the process's own clock, which a test moves on: no stall of the machine uses it up."""
REAL = [source for source in sources() if source.real]


@pytest.fixture
def front(redis_server: RedisServer) -> Iterator[RedisFront]:
    with RedisFront(redis_server.port) as made:
        yield made


@pytest.fixture
def deaf(bench: Bench, front: RedisFront) -> Iterator[CachingProcess]:
    """A process whose tracking connection goes through *front*."""
    made = CachingProcess(bench, url=front.url, lease_seconds=LEASE_SECONDS)
    yield made
    made.close()


def end(
    bench: Bench,
    key: str,
    process: CachingProcess,
    lease_seconds: float = LEASE_SECONDS,
    late: Callable[[], None] = lambda: None,
) -> None:
    """What another process does; returns when the end is answered, and calls *late* just before."""

    def sleep(seconds: float) -> None:
        process.clock.passed_seconds += 0.8 * seconds
        late()
        process.clock.passed_seconds += 0.2 * seconds

    lease = CacheLease(lease_seconds, clock=process.clock, sleep=sleep)
    assert revocation_with(bench, lease).end(key, "logout")


def test_who_hears_nothing_refuses_after_the_answer(
    bench: Bench, front: RedisFront, deaf: CachingProcess
) -> None:
    key = bench.start()
    deaf.let_cache(key)
    front.withhold()
    end(bench, key, deaf)
    assert deaf.ask(key) is None


def test_without_the_wait_it_would_still_let_in(
    bench: Bench, front: RedisFront, deaf: CachingProcess
) -> None:
    """So the test above can fail."""
    key = bench.start()
    deaf.let_cache(key)
    front.withhold()
    end(bench, key, deaf, lease_seconds=0)
    assert deaf.ask(key) is not None


def late_proof(bench: Bench, front: RedisFront, process: CachingProcess) -> str:
    """An answer to a PING comes late, when the end that came after it is nearly answered."""
    key = bench.start()
    process.let_cache(key)
    front.withhold()
    proving = threading.Thread(target=process.cache.prove)
    proving.start()
    front.wait_for_withheld_pong()

    def late() -> None:
        front.let_first_pong_through()
        proving.join()

    end(bench, key, process, late=late)
    return key


def test_a_proof_counts_from_before_it_was_asked_for(
    bench: Bench, front: RedisFront, deaf: CachingProcess
) -> None:
    assert deaf.ask(late_proof(bench, front, deaf)) is None


def test_counted_from_its_answer_it_would_let_in(
    bench: Bench, front: RedisFront, deaf: CachingProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the test above can fail."""
    proved = deaf.cache._proved
    monkeypatch.setattr(deaf.cache, "_proved", lambda tracked, _: proved(tracked, deaf.clock()))
    assert deaf.ask(late_proof(bench, front, deaf)) is not None


# ---------------------------------------------------------------- the order in which Redis tells
@pytest.fixture(params=REAL, ids=[source.description for source in REAL])
def server(request: pytest.FixtureRequest) -> Iterator[EmbeddedRedis]:
    """Every Redis that this machine has."""
    source: Source = request.param
    made = EmbeddedRedis(source, guardian())
    made.start()
    yield made
    made.stop()


def told_before_the_answer(server: EmbeddedRedis, *mode: str) -> list[bool]:
    """Whether a change is told before the answer to what Redis does after it in the same turn."""
    told: list[bool] = []
    with redis.Redis.from_url(server.url) as other, redis.Redis.from_url(server.url) as client:
        for number in range(10):
            tracking = ChangeTracking(server.url, 5)
            tracking.open()
            if mode:
                tracking.send(("CLIENT", "TRACKING", "OFF"))
                tracking.send(("CLIENT", "TRACKING", "ON", *mode))
            name = f"record-{number}"
            client.hset(name, "field", "value")
            tracking.send(("HMGET", name, "field"))
            tracking.changed()
            connection = other.connection_pool.get_connection()
            server.child.pause()
            connection.send_command("DEL", name)
            # Any answer is a proof; this one also says whether it came after the deletion.
            tracking._connection.send_command("EXISTS", name)
            server.child.resume()
            if tracking._connection.read_response() == 0:
                told.append(tracking.changed() == [name])
            connection.read_response()
            other.connection_pool.release(connection)
            tracking.close()
    assert told, "the deletion never came first"
    return told


def test_a_change_is_told_before_the_answer_to_what_was_asked_after_it(
    server: EmbeddedRedis,
) -> None:
    assert all(told_before_the_answer(server))


def test_broadcast_would_tell_it_too_late(server: EmbeddedRedis) -> None:
    """So the test above can fail: that is why the default mode is used."""
    assert not all(told_before_the_answer(server, "BCAST"))


def test_a_redirected_reader_that_closes_would_take_its_keys_with_it(
    server: EmbeddedRedis,
) -> None:
    """Why sessions are read over the very connection that is told of their changes."""
    listening = ChangeTracking(server.url, 5)
    listening.open()
    [listener] = listening.send(("CLIENT", "ID"))
    reader = redis.Redis.from_url(server.url, single_connection_client=True)
    with redis.Redis.from_url(server.url) as client:
        client.hset("record", "field", "value")
        reader.client_tracking_on(clientid=listener)
        reader.hmget("record", "field")
        reader_id = reader.client_id()
        reader.close()
        wait_for(lambda: str(reader_id) not in [c["id"] for c in client.client_list()], "its close")
        client.delete("record")
    listening.send(("PING",))
    assert listening.changed() == [], "Redis tells more than it used to"
    listening.close()


def test_a_redis_that_knows_no_tracking_is_said_to_be_away(server: EmbeddedRedis) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.acl_setuser("untold", enabled=True, nopass=True, keys="*",
                           commands=["+@all", "-client"])  # fmt: skip
    tracking = ChangeTracking(server.url.replace("//", "//untold:any@"), 5)
    with pytest.raises(StoreUnavailable, match="tracking"):
        tracking.open()
    tracking.close()
