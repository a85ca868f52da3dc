"""What does lifting a watermark undo, and what not?"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from bff.core.model import Group
from bff.core.sealing import Sealer
from bff.store.connection import Database
from bff.store.redis_clients import make_client
from bff.store.watermarks import Watermarks
from tests.promises.test_redis_topologies import serves
from tests.support.bench import Bench, MakeBench
from tests.support.redis_topology import RedisCluster
from tests.support.waiting import wait_for

DANA = Group.of_user("https://provider.example/", "auth0|dana")
GROUPS = [DANA, Group.of_email("https://provider.example/", "d@example.com"), Group.everyone()]
OLD, NEW = "o" * 40, "n" * 40
TIMEOUT_SECONDS = 3.0


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.kind)
def test_it_lifts_its_own_group_at_once_for_all_processes(
    make_bench: MakeBench, group: Group
) -> None:
    first, second = make_bench(), make_bench()
    for one in GROUPS:
        first.watermarks.rise(one)
    assert second.watermarks.lift(group)
    for one in GROUPS:
        assert (first.watermarks.newest_of([one]) is None) == (one == group)
    assert not second.watermarks.lift(group)


def test_it_finds_one_under_the_name_of_an_older_key(make_bench: MakeBench) -> None:
    make_bench(AUTH0_SECRET=OLD).watermarks.rise(DANA)
    rotated = make_bench(AUTH0_SECRET=f"{NEW},{OLD}").watermarks
    rotated.rise(DANA)
    assert rotated.lift(DANA)
    assert rotated.newest_of([DANA]) is None


def test_it_does_not_undo_an_end_that_begins_meanwhile(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = bench.watermarks.rise(DANA)
    run_many = bench.database.run_many

    def another_end_first(*arguments: object, **options: object) -> object:
        monkeypatch.setattr(bench.database, "run_many", run_many)
        assert bench.watermarks.rise(DANA) > first
        return run_many(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(bench.database, "run_many", another_end_first)
    assert not bench.watermarks.lift(DANA)
    assert bench.watermarks.newest_of([DANA])


def test_it_does_not_wait_for_a_clock_that_was_set_back(bench: Bench) -> None:
    bench.watermarks.rise(DANA)
    [name] = [key for key in bench.stored() if ":watermark:" in key]
    bench.database.command("SET", name, bench.now() + 86_400)
    began = time.monotonic()
    assert bench.watermarks.lift(DANA)
    assert time.monotonic() - began < 5


@pytest.fixture
def on_a_cluster() -> Iterator[Database]:
    with RedisCluster() as nodes:
        client = make_client(nodes.url, TIMEOUT_SECONDS)
        database = Database(client, "lift", wait_replicas=1, timeout_seconds=TIMEOUT_SECONDS)
        wait_for(lambda: serves(database), "the map of the slots")
        yield database
        client.close()


def test_the_names_under_two_keys_are_in_two_slots_of_a_cluster(on_a_cluster: Database) -> None:
    def watermarks(*keys: str) -> Watermarks:
        return Watermarks(on_a_cluster, Sealer(list(keys)), lifetime_seconds=60)

    for group in GROUPS:
        watermarks(OLD).rise(group)
        watermarks(NEW).rise(group)
        assert watermarks(NEW, OLD).lift(group)
        assert watermarks(NEW, OLD).newest_of([group]) is None
