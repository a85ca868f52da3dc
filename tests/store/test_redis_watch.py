"""Is it noticed when Redis may forget, and when it has? Each test has a server of its own."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from bff.core.errors import StoreUnavailable
from bff.core.model import Group
from bff.store.redis_watch import NOT_READY_SECONDS, SHOWN_SECONDS, RedisWatch
from bff.store.server_info import ServerInfo
from tests.support.bench import Bench, config_for
from tests.support.lossy_redis import Backup, evict_all_that_expires
from tests.support.redis_front import RedisFront
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_for

MAY_EVICT, NO_FILE = "redis_may_evict", "redis_without_append_only_file"
FULL, NO_WRITES = "redis_is_full", "redis_takes_no_writes"


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as started:
        yield started


@pytest.fixture
def bench(server: RedisServer) -> Iterator[Bench]:
    made = Bench(config_for(server, "watch"))
    yield made
    made.database.client.close()


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def watch_with(bench: Bench, clock: Clock, *, may_lose_data: bool = False) -> RedisWatch:
    """The watch of another process."""
    cut = bench.stores.history_cut
    return RedisWatch(bench.database, cut, may_lose_data=may_lose_data, clock=clock)


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR]


SETTINGS = [
    ({"maxmemory": "1gb", "maxmemory-policy": "noeviction"}, []),
    ({"maxmemory": "1gb", "maxmemory-policy": "volatile-lru"}, [MAY_EVICT]),
    ({"maxmemory": "1gb", "maxmemory-policy": "allkeys-random"}, [MAY_EVICT]),
    ({"maxmemory": "0", "maxmemory-policy": "volatile-lru"}, []),
    ({"appendonly": "no"}, [NO_FILE]),
    ({"appendonly": "no", "maxmemory": "1gb", "maxmemory-policy": "volatile-ttl"},
     [MAY_EVICT, NO_FILE]),
    ({"maxmemory": "1"}, [FULL]),
    ({"min-replicas-to-write": "1"}, [NO_WRITES]),
]  # fmt: skip


def test_settings_with_which_redis_forgets_are_told_until_they_are_right(
    bench: Bench, server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    right = {
        "appendonly": "yes", "maxmemory": "0", "maxmemory-policy": "noeviction",
        "min-replicas-to-write": "0",
    }  # fmt: skip
    watch = bench.services.redis_watch
    with server.client() as client:
        for settings, problems in SETTINGS:
            caplog.clear()
            for name, value in (right | settings).items():
                client.config_set(name, value)
            for _ in range(3):
                watch.look()
            assert (settings, watch.problems()) == (settings, problems)
            # A full one still serves those who are signed in.
            assert watch.is_sound() == (problems in ([], [FULL]))
            assert len(errors(caplog)) == len(problems), "each is told once"
            for name, value in right.items():
                client.config_set(name, value)
            watch.look()
            assert watch.is_sound()
        # Until its new file is written, Redis takes no SIGTERM.
        wait_for(lambda: not is_rewriting(client), "the append-only file")


def is_rewriting(client: redis.Redis) -> bool:
    said = client.info("persistence")
    return bool(said["aof_rewrite_in_progress"] or said["aof_rewrite_scheduled"])


def test_who_knows_better_is_warned_once_and_served(
    bench: Bench, server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    with server.client() as client:
        client.config_set("appendonly", "no")
    watch = watch_with(bench, Clock(), may_lose_data=True)
    for _ in range(3):
        watch.look()
    assert watch.is_sound() and watch.problems() == []
    warned = [r for r in caplog.records if "append-only file" in r.getMessage()]
    assert [r.levelno for r in warned] == [logging.WARNING]


def test_what_an_eviction_may_have_taken_is_not_believed_any_more(
    bench: Bench, server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    watch = bench.services.redis_watch
    watch.look()
    assert watch.is_sound() and not errors(caplog)
    before = bench.now()
    # A session whose end finds it no more: the index of its user is gone.
    key = bench.start(subject="auth0|erin")
    bench.database.command("PERSIST", bench.database.keys.session(key))
    with server.client() as client:
        assert evict_all_that_expires(client)
    assert bench.sessions.load(key), "until somebody looks"
    watch.look()
    assert bench.sessions.load(key) is None
    assert (bench.watermarks.newest_of([Group.everyone()]) or 0) > before
    assert bench.stores.history_start.begin() > before
    assert watch.problems() == ["redis_lost_data"] and not watch.is_sound()
    [error] = errors(caplog)
    assert "has evicted" in error
    # It is acted on once, and what begins now stays.
    cut_at = bench.database.history_cut_at
    bench.database.client.set("x", 1)
    for _ in range(3):
        watch.look()
    assert bench.database.history_cut_at == cut_at


def test_the_sessions_from_before_end_properly_and_newer_ones_stay(
    bench: Bench, server: RedisServer
) -> None:
    """Also those that another process has cached; its watch learns of the cut."""
    old = bench.start(refresh="refresh-old")
    bench.database.command("PERSIST", bench.database.keys.session(old))
    bench.services.redis_watch.look()
    with server.client() as client:
        evict_all_that_expires(client)
    other = Bench(bench.config)
    bench.services.redis_watch.look()
    assert other.sessions.load(old)
    other.services.redis_watch.look()
    assert other.sessions.load(old) is None
    assert other.services.redis_watch.problems() == [], "it was acted on already"
    assert bench.watermarks.lift(Group.everyone())  # The sign-ins of a bench have no `auth_time`.
    new = bench.start(refresh="refresh-new", sid="another")
    for _ in range(2):  # The end, and the drain that revokes.
        bench.services.background[0].run_once()  # type: ignore[union-attr]
    assert bench.provider.revoked == ["refresh-old"]
    assert bench.sessions.load(new)
    other.database.client.close()


def test_what_could_not_be_closed_at_once_is_closed_at_the_next_look(
    bench: Bench, server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis failed just then, and the next look finds the new mark."""
    watch = bench.services.redis_watch
    watch.look()
    key = bench.start()
    backup = Backup(server, tmp_path)
    bench.sessions.end(key, "logout")
    server.stop()
    backup.put_in_place()
    server.start_again()
    with monkeypatch.context() as failing:
        failing.setattr(bench.stores.history_cut, "make", raise_unavailable)
        with pytest.raises(StoreUnavailable):
            watch.look()
    assert bench.sessions.load(key) is None


def raise_unavailable() -> None:
    raise StoreUnavailable("a test")


def test_a_loss_is_shown_for_an_hour_and_keeps_requests_away_for_seconds(
    bench: Bench, server: RedisServer
) -> None:
    clock = Clock()
    watch = watch_with(bench, clock)
    watch.look()
    bench.start()
    with server.client() as client:
        evict_all_that_expires(client)
    watch.look()
    for passed, sound, problems in (
        (NOT_READY_SECONDS - 1, False, ["redis_lost_data"]),
        (2, True, ["redis_lost_data"]),
        (SHOWN_SECONDS, True, []),
    ):
        clock.now += passed
        assert (watch.is_sound(), watch.problems()) == (sound, problems)


def forbid_info(server: RedisServer) -> None:
    with server.client() as client:
        client.acl_setuser("default", enabled=True, nopass=True, commands=["-info"], keys=["*"])


def test_a_redis_that_may_not_be_asked_is_used_with_a_warning(
    bench: Bench, server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    forbid_info(server)
    watch = bench.services.redis_watch
    for _ in range(3):
        watch.look()
    assert watch.is_sound()
    [warning] = caplog.messages
    assert "INFO" in warning and "maxmemory_policy" in warning
    assert bench.sessions.load(bench.start())


@pytest.mark.parametrize("since", ["always", "later"])
def test_it_is_looked_at_before_anything_is_believed_all_the_same(
    bench: Bench, server: RedisServer, tmp_path: Path, since: str
) -> None:
    """Whoever doesn't say who it is may be another one at each new connection."""
    if since == "always":
        forbid_info(server)
    bench.services.redis_watch.look()
    forbid_info(server)
    bench.services.redis_watch.look()
    key = bench.start()
    backup = Backup(server, tmp_path)
    bench.sessions.end(key, "logout")
    server.stop()
    backup.put_in_place()
    server.start_again()
    forbid_info(server)
    assert bench.sessions.load(key) is None


def test_a_server_that_had_lost_its_master_is_looked_at_when_it_is_one(
    server: RedisServer,
) -> None:
    """It answers no question until then."""
    with (
        RedisServer() as other,
        RedisFront(server.port) as front,
        other.client() as client,
    ):
        bench = Bench(config_for(server, "watch", REDIS_URL=front.url))
        bench.services.redis_watch.look()
        client.config_set("replica-serve-stale-data", "no")
        client.replicaof("127.0.0.1", 1)
        front.lead_to(other.port)
        with pytest.raises(StoreUnavailable):
            bench.now()
        client.replicaof("NO", "ONE")
        bench.now()
        assert bench.services.redis_watch.problems() == ["redis_lost_data"]
        bench.database.client.close()


def test_evictions_are_acted_on_once_for_each_server(bench: Bench) -> None:
    """Whichever is the master at the time; after a reset, what is counted since is new."""
    watch = bench.services.redis_watch
    watch.look()
    cuts = []
    for run_id, evicted in [
        ("a", 7), ("a", 7), ("b", 0), ("a", 7), ("c", 2), ("b", 0), ("c", 1), ("c", 1), ("a", 8),
    ]:  # fmt: skip
        known = json.loads(bench.database.command("GET", bench.database.keys.evictions()) or "{}")
        before = bench.database.history_cut_at
        info = f"run_id:{run_id}\r\nevicted_keys:{evicted}\r\n".encode()
        bench.database.history_cut_at = 0
        watch._note_evictions([ServerInfo.of(info)], known)
        cuts.append(bool(bench.database.history_cut_at))
        bench.database.history_cut_at = bench.database.history_cut_at or before
    assert cuts == [True, False, False, False, True, False, True, False, True]
