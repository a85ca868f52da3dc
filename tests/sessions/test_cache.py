"""What a process remembers of sessions, and when it asks Redis all the same."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from typing import Any

import pytest

from bff.core.errors import SealInvalid, StoreUnavailable
from bff.sessions.cache import CLEAN_SECONDS, CachedSession
from bff.store.scripts import RecordRow
from bff.store.tracked_session_records import TrackedSessionRecords
from tests.support.bench import Bench
from tests.support.caching_process import LEASE_SECONDS, CachingProcess
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_for


@pytest.fixture
def process(bench: Bench) -> Iterator[CachingProcess]:
    """One that has just had a proof."""
    made = CachingProcess(bench)
    assert made.cache.prove()
    yield made
    made.close()


def test_who_comes_twice_is_remembered_and_asks_nobody_any_more(
    process: CachingProcess, bench: Bench
) -> None:
    key = bench.start()
    first, second = process.ask(key), process.ask(key)
    assert process.cache.prove()
    bench.database.command("CONFIG", "RESETSTAT")
    third = process.ask(key)
    assert first and second and third
    assert third.tokens == second.tokens == first.tokens
    assert third.identity == first.identity
    assert bench.database.client.info("stats")["total_commands_processed"] <= 2
    assert (process.plain_reads, process.tracked_reads) == (2, 1)


def test_a_session_that_is_asked_for_once_is_not_remembered(
    process: CachingProcess, bench: Bench
) -> None:
    key = bench.start()
    process.ask(key)
    assert process.cache.prove()
    assert process.cached() == set()


def test_many_are_remembered_at_once(bench: Bench) -> None:
    process = CachingProcess(bench, entries_max=300)
    keys = [bench.start() for _ in range(250)]
    for key in keys * 2:
        process.ask(key)
    assert process.cache.prove()
    assert process.cached() == set(keys)
    process.close()


def test_a_change_is_seen_after_the_next_proof(process: CachingProcess, bench: Bench) -> None:
    key = bench.start()
    process.let_cache(key)
    bench.records.write_data(key, b'{"a":1}')
    assert process.cache.prove()
    assert process.cached() == set()
    found = process.cache.load(key)
    assert found
    assert found[1] and bench.records.open_data(key, found[1]) == b'{"a":1}'


def test_an_ended_session_is_gone_after_the_next_proof(
    process: CachingProcess, bench: Bench
) -> None:
    key, other = bench.start(), bench.start()
    process.let_cache(key)
    process.let_cache(other)
    bench.revocation.end(key, "logout")
    assert process.cache.prove()
    assert process.ask(key) is None
    assert not process.asks_redis_for(other)


def test_without_a_proof_nothing_is_trusted_longer_than_a_lease(
    process: CachingProcess, bench: Bench
) -> None:
    key = bench.start()
    process.let_cache(key)
    process.clock.passed_seconds += LEASE_SECONDS
    assert process.asks_redis_for(key)
    assert process.cache.prove()
    assert not process.asks_redis_for(key)


def test_a_thread_that_stalls_does_not_trust_what_was_taken_away_meanwhile(
    process: CachingProcess, bench: Bench
) -> None:
    """It holds the entry already when the lease lapses, the end comes, and then a new proof."""
    key = bench.start()
    process.let_cache(key)

    class Stalling(dict[str, CachedSession]):
        def get(self, key: str, default: Any = None) -> Any:
            entry = super().get(key, default)
            if entry is not None:
                process.clock.passed_seconds += 2 * LEASE_SECONDS
                bench.revocation.end(key, "logout")
                assert process.cache.prove()
            return entry

    process.cache._entries = Stalling(process.cache._entries)
    assert process.ask(key) is None


def test_an_end_that_overtakes_a_reading_is_not_forgotten(
    process: CachingProcess, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session ends after it was read and before it is remembered."""
    key = bench.start()
    process.ask(key)
    process.ask(key)
    opened = bench.records.open_row

    def late(*words: Any) -> Any:
        monkeypatch.setattr(bench.records, "open_row", opened)
        bench.revocation.end(key, "logout")
        return opened(*words)

    monkeypatch.setattr(bench.records, "open_row", late)
    assert process.cache.prove()
    assert process.cached() == {key}
    assert process.cache.prove()
    assert process.ask(key) is None


def test_an_end_between_two_readings_of_a_batch_is_not_forgotten(
    process: CachingProcess, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis tells of it before the batch is whole, and once only."""
    key, other = bench.start(), bench.start()
    for one in (key, other, key, other):
        process.ask(one)
    read = TrackedSessionRecords.read

    def interrupted(tracked: TrackedSessionRecords, keys: list[str]) -> list[RecordRow | None]:
        assert keys == [key, other]
        rows = read(tracked, keys[:1])
        bench.revocation.end(key, "logout")
        return rows + read(tracked, keys[1:])

    monkeypatch.setattr(TrackedSessionRecords, "read", interrupted)
    assert process.cache.prove()
    assert process.cached() == {other}
    assert process.ask(key) is None


def test_the_ends_of_a_session_are_kept_by_redis_clock(
    process: CachingProcess, bench: Bench
) -> None:
    key = bench.start()
    name = bench.database.keys.session(key)
    bench.database.command("HSET", name, "absolute_ends_at", bench.now() + 50)
    process.let_cache(key)
    process.clock.passed_seconds += 40
    assert process.cache.prove()
    assert not process.asks_redis_for(key)
    session = process.ask(key)
    assert session
    assert abs(session.read_at - (bench.database.now() + 40)) < 5, "it tells the instant of now"
    process.clock.passed_seconds += 10
    assert process.cache.prove()
    assert process.asks_redis_for(key), "whether it has run out is Redis's to say"


def test_a_session_that_had_run_out_is_not_remembered(
    process: CachingProcess, bench: Bench
) -> None:
    key = bench.start()
    process.ask(key)
    process.ask(key)
    bench.database.command(
        "HSET", bench.database.keys.session(key), "idle_ends_at", bench.now() - 1
    )
    assert process.cache.prove()
    assert process.cached() == set()
    assert process.ask(key) is None


def test_the_idle_end_is_moved_once_a_minute(process: CachingProcess, bench: Bench) -> None:
    key = bench.start()
    process.let_cache(key)
    name = bench.database.keys.session(key)
    before = int(bench.database.command("HGET", name, "idle_ends_at"))
    for field in ("last_seen_at", "idle_ends_at"):
        bench.database.command("HINCRBY", name, field, -61)
    process.clock.passed_seconds += 61
    assert process.cache.prove()
    assert process.asks_redis_for(key)
    assert int(bench.database.command("HGET", name, "idle_ends_at")) >= before


def test_so_many_are_remembered_and_no_more(bench: Bench) -> None:
    process = CachingProcess(bench, entries_max=3)
    keys = [bench.start() for _ in range(5)]
    for key in keys:
        process.let_cache(key)
    assert process.cached() == set(keys[2:])
    assert len(process.cache._seen) <= 3
    process.close()


def test_tokens_do_not_lie_about(process: CachingProcess, bench: Bench) -> None:
    key = bench.start()
    process.let_cache(key)
    process.clock.passed_seconds += 61 + CLEAN_SECONDS
    process.cache._clean()
    assert process.cached() == set()
    assert process.cache._seen == {}


def test_with_the_connection_all_trust_is_lost(process: CachingProcess, bench: Bench) -> None:
    key = bench.start()
    process.let_cache(key)
    [tracking] = [c for c in bench.database.client.client_list() if "t" in c["flags"]]
    bench.database.command("CLIENT", "KILL", "ID", tracking["id"])
    assert not process.cache.prove()
    assert process.cached() == set()
    assert process.asks_redis_for(key)
    assert process.cache.prove()
    assert process.connections == 2
    process.let_cache(key)


def test_a_redis_that_was_emptied_leaves_nothing_remembered(redis_prefix: str) -> None:
    from tests.support.bench import config_for

    with RedisServer() as server:
        bench = Bench(config_for(server, redis_prefix))
        process = CachingProcess(bench)
        key = bench.start()
        process.let_cache(key)
        bench.database.command("FLUSHALL")
        assert process.cache.prove()
        assert process.cached() == set()
        assert process.ask(key) is None
        process.close()
        bench.database.client.close()


def test_a_record_that_cannot_be_opened_is_left_to_the_plain_way(
    process: CachingProcess, bench: Bench
) -> None:
    key, other = bench.start(), bench.start()
    for one in (key, other, key, other):
        process.ask(one)
    bench.database.command("HSET", bench.database.keys.session(key), "tokens", "forged")
    assert process.cache.prove()
    assert process.cached() == {other}
    with pytest.raises(SealInvalid):
        process.ask(key)


def test_where_nothing_can_be_tracked_every_request_asks_redis(
    process: CachingProcess,
    bench: Bench,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def refuse(_: object) -> None:
        raise StoreUnavailable("ERR unknown command")

    process.close()
    monkeypatch.setattr("bff.store.change_tracking.ChangeTracking.open", refuse)
    key = bench.start()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert not process.cache.prove()
            assert process.asks_redis_for(key)
    assert [r.getMessage() for r in caplog.records] == [
        "sessions are read from Redis for each request: ERR unknown command"
    ]


def test_a_forked_process_trusts_nothing_of_its_parent(
    process: CachingProcess, bench: Bench
) -> None:
    key = bench.start()
    process.cache.start()
    process.let_cache(key)
    process.may_connect.clear()  # The child's thread waits until the child has looked.
    child = os.fork()
    if child == 0:
        try:
            trusts_nothing = process.asks_redis_for(key) and not process.cached()
            process.may_connect.set()
            wait_for(lambda: process.cache._tracked is not None, "a connection of its own")
            process.let_cache(key)
            os._exit(0 if trusts_nothing and process.connections == 2 else 1)
        finally:
            os._exit(2)
    process.may_connect.set()
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert process.cache.prove() and process.connections == 1, "the parent's was left alone"
    assert not process.asks_redis_for(key)
    process.cache.stop()
    assert process.cached() == set()
