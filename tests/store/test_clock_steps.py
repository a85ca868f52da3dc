"""When was Redis's clock set, and what of the sessions and tokens of the old time is refused?"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from bff.core.model import Group
from bff.store.clock_steps import ClockSteps
from tests.support.bench import Bench, config_for
from tests.support.faketime import RedisWithClock

HOUR = 3600
READINGS = [
    # asked, Redis says, answered; the step that was seen
    ("the first says nothing", [(0, 500, 0)], 0),
    ("both go on", [(0, 500, 0), (10, 510, 10)], 0),
    ("a slow answer", [(0, 500, 0), (10, 530, 30), (31, 531, 31)], 0),
    ("a process that was stopped", [(0, 500, 0), (10, 510, 7000), (7001, 7501, 7001)], 0),
    ("a small step", [(0, 500, 0), (10, 519, 10)], 0),
    ("small steps add up", [(0, 500, 0), (1, 509, 1), (2, 518, 2)], 15.9),
    ("small steps back add up", [(0, 500, 0), (1, 493, 1), (2, 486, 2)], -15.9),
    ("it is slewed", [(0, 500, 0), (100, 608, 100), (200, 716, 200), (300, 824, 300)], 0),
    ("forward", [(0, 500, 0), (10, 4110, 10)], HOUR),
    ("back", [(0, 4100, 0), (10, 510, 10)], -HOUR),
    ("back during a slow answer", [(0, 4100, 0), (10, 510, 20)], -HOUR),
]


@pytest.mark.parametrize(("what", "readings", "step"), READINGS, ids=[r[0] for r in READINGS])
def test_a_step_is_seen(what: str, readings: list[tuple[int, int, int]], step: float) -> None:
    steps = ClockSteps(10)
    assert [steps.seconds(*one) for one in readings][-1] == pytest.approx(step, rel=1e-9), what


def test_a_step_is_seen_once() -> None:
    steps = ClockSteps(10)
    readings = [(0, 500, 0), (1, 4101, 1), (2, 4102, 2)]
    assert [steps.seconds(*one) for one in readings] == [0, HOUR, 0]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisWithClock]:
    with RedisWithClock(tmp_path) as started:
        yield started


@pytest.fixture
def bench(server: RedisWithClock) -> Iterator[Bench]:
    made = Bench(config_for(server, "clock"))
    made.services.redis_watch.look()
    yield made
    made.database.client.close()


def test_an_expired_session_stays_so_when_the_clock_is_set_back(
    bench: Bench, server: RedisWithClock
) -> None:
    key = bench.start()
    name = bench.database.keys.session(key)
    bench.database.command("HSET", name, "created_at", bench.now() - 5 * HOUR)
    bench.database.command("HSET", name, "idle_ends_at", bench.now() - 1)
    assert bench.sessions.load(key) is None
    server.set_clock(-HOUR)
    assert bench.sessions.load(key), "until somebody looks"
    bench.services.redis_watch.look()
    assert bench.sessions.load(key) is None


def test_a_session_of_the_old_time_is_refused_and_ended_and_a_new_one_is_good(
    bench: Bench, server: RedisWithClock
) -> None:
    """It seems to begin in an hour; an old cut, which seems to be made then, bars nobody."""
    bench.stores.history_cut.make()
    bench.watermarks.lift(Group.everyone())
    old = bench.start(refresh="refresh-old")
    server.set_clock(-HOUR)
    bench.services.redis_watch.look()
    assert bench.sessions.load(old) is None
    bench.watermarks.lift(Group.everyone())  # The sign-ins of a bench have no `auth_time`.
    new = bench.start(refresh="refresh-new", sid="another")
    assert bench.sessions.load(new)
    for _ in range(2):  # The end, and the drain that revokes.
        bench.services.background[0].run_once()  # type: ignore[union-attr]
    assert bench.provider.revoked == ["refresh-old"]
    assert bench.sessions.load(new)


def test_a_token_is_denied_for_its_lifetime_though_the_clock_is_ahead(
    bench: Bench, server: RedisWithClock
) -> None:
    server.set_clock(HOUR)
    tokens = bench.sign_in().tokens
    expires_at = int(time.time()) + 300
    tokens = msgspec.structs.replace(tokens, expires_at=expires_at)
    bench.deny_list.add(bench.deny_list.all_of(tokens))
    assert bench.deny_list.contains(tokens.access_token)
