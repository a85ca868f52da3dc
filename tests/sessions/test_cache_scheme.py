"""Why does no cached session outlive the response to its end (docs/architecture/session-cache.md)?

Each part of the scheme is tested on a network that withholds what Redis sends. Beside it stands a
test of what would break without that part.
"""

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
"""Passes on the process's own clock, which only tests set forward: no stall uses it up."""
REAL = [source for source in sources() if source.real]


@pytest.fixture
def front(redis_server: RedisServer) -> Iterator[RedisFront]:
    with RedisFront(redis_server.port) as made:
        yield made


@pytest.fixture
def process(bench: Bench, front: RedisFront) -> Iterator[CachingProcess]:
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
    """End a session in another process; *late* is called just before the end is confirmed."""

    def sleep(seconds: float) -> None:
        process.clock.passed_seconds += 0.8 * seconds
        late()
        process.clock.passed_seconds += 0.2 * seconds

    lease = CacheLease(lease_seconds, clock=process.clock, sleep=sleep)
    assert revocation_with(bench, lease).end(key, "logout")


def test_a_process_that_receives_nothing_refuses_after_the_response(
    bench: Bench, front: RedisFront, process: CachingProcess
) -> None:
    key = bench.start()
    process.let_cache(key)
    front.withhold()
    end(bench, key, process)
    assert process.load(key) is None


def test_without_the_wait_it_would_still_accept(
    bench: Bench, front: RedisFront, process: CachingProcess
) -> None:
    """This shows that the test above can fail."""
    key = bench.start()
    process.let_cache(key)
    front.withhold()
    end(bench, key, process, lease_seconds=0)
    assert process.load(key) is not None


def late_proof(bench: Bench, front: RedisFront, process: CachingProcess) -> str:
    """The reply to a PING arrives when a later end is about to be confirmed."""
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


def test_a_proof_counts_from_before_its_request(
    bench: Bench, front: RedisFront, process: CachingProcess
) -> None:
    assert process.load(late_proof(bench, front, process)) is None


def test_counted_from_its_reply_it_would_still_accept(
    bench: Bench, front: RedisFront, process: CachingProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This shows that the test above can fail."""
    proved = process.cache._proved
    monkeypatch.setattr(
        process.cache, "_proved", lambda tracked, _: proved(tracked, process.clock())
    )
    assert process.load(late_proof(bench, front, process)) is not None


# ---------------------------------------------------------------- the order in which Redis sends
@pytest.fixture(params=REAL, ids=[source.description for source in REAL])
def server(request: pytest.FixtureRequest) -> Iterator[EmbeddedRedis]:
    """Each Redis that is installed here."""
    source: Source = request.param
    made = EmbeddedRedis(source, guardian())
    made.start()
    yield made
    made.stop()


def reported_before_the_reply(server: EmbeddedRedis, *mode: str) -> list[bool]:
    """Whether Redis reports a change before its reply to a command that it runs just after it."""
    reported: list[bool] = []
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
            # Any reply is a proof; this one also shows whether it is from after the deletion.
            tracking._connection.send_command("EXISTS", name)
            server.child.resume()
            if tracking._connection.read_response() == 0:
                reported.append(tracking.changed() == [name])
            connection.read_response()
            other.connection_pool.release(connection)
            tracking.close()
    assert reported, "the deletion never came first"
    return reported


def test_a_change_is_reported_before_the_reply_to_a_later_command(
    server: EmbeddedRedis,
) -> None:
    assert all(reported_before_the_reply(server))


def test_broadcast_mode_would_report_it_too_late(server: EmbeddedRedis) -> None:
    """This shows that the test above can fail, and why the default mode is used."""
    assert not all(reported_before_the_reply(server, "BCAST"))


def test_a_redirected_reader_that_closes_would_drop_its_tracked_keys(
    server: EmbeddedRedis,
) -> None:
    """So sessions are read over the very connection that receives their changes."""
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
    assert listening.changed() == [], "Redis reports more than it used to"
    listening.close()


def test_a_redis_without_tracking_counts_as_unavailable(server: EmbeddedRedis) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.acl_setuser("untracked", enabled=True, nopass=True, keys="*",
                           commands=["+@all", "-client"])  # fmt: skip
    tracking = ChangeTracking(server.url.replace("//", "//untracked:any@"), 5)
    with pytest.raises(StoreUnavailable, match="tracking"):
        tracking.open()
    tracking.close()
