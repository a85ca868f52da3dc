"""When does a process load a session from its cache, and when from Redis?"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from bff.core.errors import SealInvalid, StoreUnavailable
from bff.sessions.cache import CLEAN_SECONDS, CachedSession
from bff.store.scripts import RecordRow
from bff.store.tracked_session_records import TrackedSessionRecords
from tests.support.bench import Bench, config_for
from tests.support.caching_process import LEASE_SECONDS, CachingProcess
from tests.support.lossy_redis import Backup
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_for


@pytest.fixture
def process(bench: Bench) -> Iterator[CachingProcess]:
    """A process with a proof of this moment."""
    made = CachingProcess(bench)
    assert made.cache.prove()
    yield made
    made.close()


def test_a_session_that_is_requested_twice_is_cached_and_costs_no_round_trip(
    process: CachingProcess, bench: Bench
) -> None:
    key = bench.start()
    first, second = process.load(key), process.load(key)
    assert process.cache.prove()
    bench.database.command("CONFIG", "RESETSTAT")
    third = process.load(key)
    assert first and second and third
    assert third.tokens == second.tokens == first.tokens
    assert third.identity == first.identity
    assert bench.database.client.info("stats")["total_commands_processed"] <= 2
    assert (process.plain_reads, process.tracked_reads) == (2, 1)


def test_a_session_that_is_requested_once_is_not_cached(
    process: CachingProcess, bench: Bench
) -> None:
    key = bench.start()
    process.load(key)
    assert process.cache.prove()
    assert process.cached() == set()


def test_many_sessions_are_cached_at_once(bench: Bench) -> None:
    process = CachingProcess(bench, entries_max=300)
    keys = [bench.start() for _ in range(250)]
    for key in keys * 2:
        process.load(key)
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
    assert process.load(key) is None
    assert not process.reads_redis_for(other)


def test_without_a_proof_nothing_is_trusted_longer_than_a_lease(
    process: CachingProcess, bench: Bench
) -> None:
    key = bench.start()
    process.let_cache(key)
    process.clock.passed_seconds += LEASE_SECONDS
    assert process.reads_redis_for(key)
    assert process.cache.prove()
    assert not process.reads_redis_for(key)


def test_a_stalled_thread_does_not_use_an_entry_that_was_removed_meanwhile(
    process: CachingProcess, bench: Bench
) -> None:
    """It has read the entry when the lease expires, the session ends, and a new proof arrives."""
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
    assert process.load(key) is None


def test_an_end_that_overtakes_a_read_is_not_lost(
    process: CachingProcess, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session ends after it was read and before it is cached."""
    key = bench.start()
    process.load(key)
    process.load(key)
    opened = bench.records.open_row

    def late(*arguments: Any) -> Any:
        monkeypatch.setattr(bench.records, "open_row", opened)
        bench.revocation.end(key, "logout")
        return opened(*arguments)

    monkeypatch.setattr(bench.records, "open_row", late)
    assert process.cache.prove()
    assert process.cached() == {key}
    assert process.cache.prove()
    assert process.load(key) is None


def test_an_end_between_two_reads_of_a_batch_is_not_lost(
    process: CachingProcess, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis reports it before the batch is complete, and only once."""
    key, other = bench.start(), bench.start()
    for one in (key, other, key, other):
        process.load(one)
    read = TrackedSessionRecords.read

    def interrupted(tracked: TrackedSessionRecords, keys: list[str]) -> list[RecordRow | None]:
        assert keys == [key, other]
        rows = read(tracked, keys[:1])
        bench.revocation.end(key, "logout")
        return rows + read(tracked, keys[1:])

    monkeypatch.setattr(TrackedSessionRecords, "read", interrupted)
    assert process.cache.prove()
    assert process.cached() == {other}
    assert process.load(key) is None


def test_a_cached_session_expires_by_the_clock_of_redis(
    process: CachingProcess, bench: Bench
) -> None:
    key = bench.start()
    name = bench.database.keys.session(key)
    bench.database.command("HSET", name, "absolute_ends_at", bench.now() + 50)
    process.let_cache(key)
    process.clock.passed_seconds += 40
    assert process.cache.prove()
    assert not process.reads_redis_for(key)
    session = process.load(key)
    assert session
    assert abs(session.read_at - (bench.database.now() + 40)) < 5, (
        "`read_at` is the time of this request"
    )
    process.clock.passed_seconds += 10
    assert process.cache.prove()
    assert process.reads_redis_for(key), "Redis decides whether it has expired"


def test_an_expired_session_is_not_cached(process: CachingProcess, bench: Bench) -> None:
    key = bench.start()
    process.load(key)
    process.load(key)
    bench.database.command(
        "HSET", bench.database.keys.session(key), "idle_ends_at", bench.now() - 1
    )
    assert process.cache.prove()
    assert process.cached() == set()
    assert process.load(key) is None


def test_the_idle_end_is_moved_once_a_minute(process: CachingProcess, bench: Bench) -> None:
    key = bench.start()
    process.let_cache(key)
    name = bench.database.keys.session(key)
    before = int(bench.database.command("HGET", name, "idle_ends_at"))
    for field in ("last_seen_at", "idle_ends_at"):
        bench.database.command("HINCRBY", name, field, -61)
    process.clock.passed_seconds += 61
    assert process.cache.prove()
    assert process.reads_redis_for(key)
    assert int(bench.database.command("HGET", name, "idle_ends_at")) >= before


def test_no_more_sessions_are_cached_than_the_limit(bench: Bench) -> None:
    process = CachingProcess(bench, entries_max=3)
    keys = [bench.start() for _ in range(5)]
    for key in keys:
        process.let_cache(key)
    assert process.cached() == set(keys[2:])
    assert len(process.cache._seen) <= 3
    process.close()


def test_unused_tokens_are_removed_from_the_cache(process: CachingProcess, bench: Bench) -> None:
    key = bench.start()
    process.let_cache(key)
    process.clock.passed_seconds += 61 + CLEAN_SECONDS
    process.cache._clean()
    assert process.cached() == set()
    assert process.cache._seen == {}


def test_a_broken_connection_empties_the_cache(process: CachingProcess, bench: Bench) -> None:
    key = bench.start()
    process.let_cache(key)
    # The newest: those of earlier tests may not be gone yet.
    tracking = [c for c in bench.database.client.client_list() if "t" in c["flags"]][-1]
    bench.database.command("CLIENT", "KILL", "ID", tracking["id"])
    assert not process.cache.prove()
    assert process.cached() == set()
    assert process.reads_redis_for(key)
    assert process.cache.prove()
    assert process.connections == 2
    process.let_cache(key)


def test_a_demoted_master_proves_nothing(redis_prefix: str) -> None:
    with RedisServer() as server, server.client() as client:
        bench = Bench(config_for(server, redis_prefix))
        process = CachingProcess(bench)
        key = bench.start()
        process.let_cache(key)
        client.replicaof("127.0.0.1", 1)
        assert not process.cache.prove()
        with pytest.raises(StoreUnavailable):
            process.load(key)
        client.replicaof("NO", "ONE")
        assert process.cache.prove()
        assert process.load(key)
        process.close()
        bench.database.client.close()


def test_an_emptied_redis_empties_the_cache(redis_prefix: str) -> None:
    with RedisServer() as server:
        bench = Bench(config_for(server, redis_prefix))
        process = CachingProcess(bench)
        key = bench.start()
        process.let_cache(key)
        bench.database.command("FLUSHALL")
        assert process.cache.prove()
        assert process.cached() == set()
        assert process.load(key) is None
        process.close()
        bench.database.client.close()


def test_a_record_that_cannot_be_opened_is_not_cached(
    process: CachingProcess, bench: Bench
) -> None:
    key, other = bench.start(), bench.start()
    for one in (key, other, key, other):
        process.load(one)
    bench.database.command("HSET", bench.database.keys.session(key), "tokens", "forged")
    assert process.cache.prove()
    assert process.cached() == {other}
    with pytest.raises(SealInvalid):
        process.load(key)


def test_without_change_tracking_every_request_reads_from_redis(
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
            assert process.reads_redis_for(key)
    assert [r.getMessage() for r in caplog.records] == [
        "sessions are read from Redis for each request: ERR unknown command"
    ]


def test_a_restored_redis_that_the_cache_is_the_first_to_reach_is_noticed(tmp_path: Path) -> None:
    """Its new connection has Redis looked at, which empties the cache that waits for it."""
    with RedisServer() as server:
        bench = Bench(config_for(server, "restored", BFF_SESSION_LEASE_MILLISECONDS="100"))
        cache = bench.sessions._cache
        assert cache is not None
        bench.services.redis_watch.look()
        key = bench.start()
        for _ in range(2):
            assert bench.load(key)
        assert cache.prove() and set(cache._entries) == {key}
        backup = Backup(server, tmp_path)
        bench.sessions.end(bench.start(), "logout")
        server.stop()
        backup.put_in_place()
        server.start_again()
        proofs = [False]
        proving = Thread(target=lambda: proofs.extend(cache.prove() for _ in "12"), daemon=True)
        proving.start()
        proving.join(10)
        # The first finds the old connection broken.
        assert proofs == [False, False, True]
        assert bench.services.redis_watch.problems() == ["redis_lost_data"]
        assert bench.sessions.load(key) is None
        bench.database.client.close()


def test_what_is_read_while_sessions_are_forgotten_is_not_cached(
    process: CachingProcess, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = bench.start()
    opened = TrackedSessionRecords.open_row

    def late(*arguments: Any) -> Any:
        found = opened(*arguments)
        process.cache.forget()
        return found

    for _ in range(2):
        process.load(key)
    with monkeypatch.context() as slow:
        slow.setattr(TrackedSessionRecords, "open_row", late)
        assert process.cache.prove()
    assert process.cached() == set()
    process.let_cache(key)


def test_a_forked_process_uses_nothing_of_its_parents_cache(
    process: CachingProcess, bench: Bench
) -> None:
    key = bench.start()
    process.cache.start()
    process.let_cache(key)
    process.may_connect.clear()  # The child's thread waits until the child has checked its cache.
    child = os.fork()
    if child == 0:
        try:
            is_empty = process.reads_redis_for(key) and not process.cached()
            process.may_connect.set()
            wait_for(lambda: process.cache._tracked is not None, "a connection of its own")
            process.let_cache(key)
            os._exit(0 if is_empty and process.connections == 2 else 1)
        finally:
            os._exit(2)
    process.may_connect.set()
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert process.cache.prove() and process.connections == 1, "the parent keeps its connection"
    assert not process.reads_redis_for(key)
    process.cache.stop()
    assert process.cached() == set()
