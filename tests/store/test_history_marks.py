"""Does each process notice that Redis has gone back in time, and only then?"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import redis

from bff.core.errors import StoreUnavailable
from bff.core.model import Group
from tests.support.bench import Bench, config_for
from tests.support.lossy_redis import Backup
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_for


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as started:
        yield started


@pytest.fixture
def bench(server: RedisServer) -> Iterator[Bench]:
    made = Bench(config_for(server, "marks"))
    made.services.redis_watch.look()
    yield made
    made.database.client.close()


@pytest.fixture
def at_redis(server: RedisServer) -> Iterator[redis.Redis]:
    with server.client() as client:
        yield client


def restore(server: RedisServer, backup: Backup) -> None:
    server.stop()
    backup.put_in_place()
    server.start_again()


def losses(bench: Bench) -> list[str]:
    return bench.services.redis_watch.problems()


WRITES: dict[str, Callable[[Bench, str], object]] = {
    "an end": lambda bench, key: bench.sessions.end(key, "logout"),
    "the end of many": lambda bench, key: bench.sessions.end_these([key], "logout"),
    "a watermark": lambda bench, _: bench.watermarks.rise(Group.of_user("iss", "sub")),
    "a token on the deny-list": lambda bench, _: bench.deny_list.add(
        bench.deny_list.all_of(bench.sign_in().tokens)
    ),
    "a closed browser": lambda bench, _: bench.stores.browsers.close(["browser"]),
}


@pytest.mark.parametrize("what", WRITES)
def test_what_must_not_be_lost_is_missed_at_once(
    bench: Bench, server: RedisServer, tmp_path: Path, what: str
) -> None:
    """Also if no look came between, and before the first command is answered."""
    key = bench.start()
    backup = Backup(server, tmp_path)
    WRITES[what](bench, key)
    restore(server, backup)
    assert bench.sessions.load(key) is None
    assert losses(bench) == ["redis_lost_data"]


def test_an_end_that_no_replica_has_confirmed_is_missed_too(
    server: RedisServer, tmp_path: Path
) -> None:
    """It stands, although it has fewer replicas than it should wait for."""
    changes = {"BFF_REDIS_WAIT_REPLICAS": "1", "BFF_REDIS_TIMEOUT_SECONDS": "0.5"}
    bench = Bench(config_for(server, "marks", **changes))
    key = bench.start()
    bench.services.redis_watch.look()
    backup = Backup(server, tmp_path)
    bench.sessions.end(key, "logout")
    restore(server, backup)
    assert bench.sessions.load(key) is None
    assert losses(bench) == ["redis_lost_data"]
    bench.database.client.close()


def test_what_was_not_lost_is_not_missed(
    bench: Bench, server: RedisServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    key = bench.start()
    for write in list(WRITES.values())[2:]:
        write(bench, key)
    for _ in range(3):
        server.restart()
        assert bench.sessions.load(key)
        bench.services.redis_watch.look()
    restore(server, Backup(server, tmp_path))
    assert bench.sessions.load(key)
    assert losses(bench) == []
    assert not [r for r in caplog.records if r.levelno >= logging.ERROR]


def test_the_marks_of_others_do_not_hide_a_loss(
    bench: Bench, server: RedisServer, tmp_path: Path
) -> None:
    """The other one has lost nothing, looks first, and goes on."""
    other = Bench(bench.config)
    other.services.redis_watch.look()
    key = bench.start()
    backup = Backup(server, tmp_path)
    bench.sessions.end(key, "logout")
    restore(server, backup)
    for _ in range(3):
        other.services.redis_watch.look()
    assert losses(other) == []
    assert bench.sessions.load(key) is None
    other.services.redis_watch.look()
    assert losses(bench) == losses(other) == ["redis_lost_data"], "then all know"
    assert other.sessions.load(key) is None
    other.database.client.close()


def test_a_forked_process_has_marks_of_its_own(bench: Bench, at_redis: redis.Redis) -> None:
    name = bench.database.keys.marks()
    child = os.fork()
    if child == 0:
        status = 1
        with suppress(StoreUnavailable):
            bench.services.redis_watch.look()
            status = len(losses(bench))
        os._exit(status)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert at_redis.zcard(name) == 2


@pytest.mark.parametrize("emptied", [("FLUSHALL",), ("SWAPDB", "0", "1")], ids=lambda w: w[0])
def test_an_emptied_redis_is_told_and_begins_anew(
    bench: Bench, at_redis: redis.Redis, caplog: pytest.LogCaptureFixture, emptied: tuple[str, ...]
) -> None:
    """What this process has cached goes, too: Redis doesn't report it with `SWAPDB`."""
    cuts: list[bool] = []
    watch = bench.services.redis_watch
    watch._on_cut = cuts.append
    bench.stores.history_start.begin()
    watch.look()
    at_redis.execute_command(*emptied)  # type: ignore[no-untyped-call]
    watch.look()
    assert (losses(bench), cuts) == (["redis_lost_data"], [False])
    assert [m for m in caplog.messages if "was emptied" in m]
    assert bench.watermarks.newest_of([Group.everyone()]) is None
    wait_for(lambda: bench.now() >= bench.database.history_cut_at, "the next second")
    key = bench.start()
    bench.services.redis_watch.look()
    assert bench.sessions.load(key)


def test_a_full_redis_has_lost_nothing(bench: Bench, at_redis: redis.Redis) -> None:
    """It takes no mark, so none is missed."""
    key = bench.start()
    at_redis.config_set("maxmemory", 1)
    for _ in range(3):
        bench.services.redis_watch.look()
    at_redis.config_set("maxmemory", 0)
    bench.services.redis_watch.look()
    assert losses(bench) == []
    assert bench.sessions.load(key)


def test_a_process_that_does_not_watch_leaves_no_marks(
    server: RedisServer, at_redis: redis.Redis
) -> None:
    """A command, for instance."""
    command = Bench(config_for(server, "command"))
    command.sessions.end(command.start(), "logout")
    assert not at_redis.exists(command.database.keys.marks())
    command.database.client.close()


def look_of_the_first(server: RedisServer) -> list[str]:
    """The problems that a process sees that starts after all others."""
    started = Bench(config_for(server, "marks"))
    started.services.redis_watch.look()
    found = losses(started)
    assert started.services.redis_watch.is_sound()
    started.database.client.close()
    return found


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("restored", ["redis_may_be_restored"]),
        ("stopped", []),
        ("restarted", []),
        ("first", []),
    ],
)
def test_who_starts_on_a_redis_that_nobody_watched_says_so(
    server: RedisServer, at_redis: redis.Redis, caplog: pytest.LogCaptureFixture, how: str,
    told: list[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """It can't know, but a backup has the mark of a process that ran as its newest."""
    before = Bench(config_for(server, "marks"))
    if how != "first":
        before.services.redis_watch.look()
    if how == "stopped":
        before.services.redis_watch.leave()
        before.services.redis_watch.look()  # Of the background thread; it comes too late.
    if how != "restarted":
        later = time.time() + 120
        monkeypatch.setattr(time, "time", lambda: later)
    assert look_of_the_first(server) == told
    assert bool([m for m in caplog.messages if "restored" in m]) == bool(told)
    assert look_of_the_first(server) == [], "the others know that one runs"
    before.database.client.close()
