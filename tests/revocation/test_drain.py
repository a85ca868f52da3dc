"""How soon does the drain run, how much does it do at once, and when does it stop?"""

from __future__ import annotations

import threading

import pytest

from bff.core.background import Background
from bff.core.errors import ProviderUnavailable
from bff.core.model import Group
from bff.revocation.drain import AT_ONCE, CLAIM_COUNT, PAUSE_MAX_SECONDS
from tests.revocation.test_end import due_now
from tests.support.bench import Bench, MakeBench

NEVER_SECONDS = 3600.0
PATIENCE_SECONDS = 10


def test_a_job_that_is_asked_for_runs_at_once_and_the_others_don_t() -> None:
    ran, other = threading.Semaphore(0), threading.Semaphore(0)
    background = Background([(NEVER_SECONDS, ran.release), (NEVER_SECONDS, other.release)])
    background.start()
    try:
        # The first run, at the start.
        assert ran.acquire(timeout=PATIENCE_SECONDS)
        assert other.acquire(timeout=PATIENCE_SECONDS)
        for _ in range(3):
            background.run_soon(ran.release)
            assert ran.acquire(timeout=PATIENCE_SECONDS)
        assert not other.acquire(blocking=False)
    finally:
        background.stop()


def test_a_job_that_is_asked_for_while_it_runs_runs_again() -> None:
    runs: list[int] = []
    done = threading.Event()

    def work() -> None:
        runs.append(1)
        if len(runs) < 3:
            background.run_soon(work)
        else:
            done.set()

    background = Background([(NEVER_SECONDS, work)])
    background.start()
    try:
        assert done.wait(PATIENCE_SECONDS)
    finally:
        background.stop()


def test_an_end_of_many_sessions_is_confirmed_without_waiting_for_the_next_drain(
    bench: Bench,
) -> None:
    count = 2 * CLAIM_COUNT + 1
    for number in range(count):
        bench.start(refresh=f"refresh-{number}")
    background = Background()
    bench.revocation._background = background
    background.every(NEVER_SECONDS, bench.revocation.drain)
    confirmed = threading.Semaphore(0)
    bench.provider.on_revoke = lambda _: confirmed.release()
    background.start()
    try:
        group = Group.of_user("https://provider.example/", "auth0|dana")
        assert bench.revocation.end_group(group, "admin") == count
        for _ in range(count):
            assert confirmed.acquire(timeout=PATIENCE_SECONDS)
    finally:
        background.stop()


def ended(bench: Bench, count: int) -> None:
    """So many sessions are over, and their refresh tokens wait for the drain."""
    for number in range(count):
        bench.start(refresh=f"refresh-{number}")
    group = Group.of_user("https://provider.example/", "auth0|dana")
    assert bench.revocation.end_group(group, "admin") == count


def test_several_revocations_are_under_way_at_once_and_no_more_than_that(bench: Bench) -> None:
    ended(bench, 1 + 2 * AT_ONCE)
    together = threading.Barrier(AT_ONCE)
    alone, under_way, most = threading.Event(), list[str](), list[int]()

    def revoke(token: str) -> None:
        if not alone.is_set():
            alone.set()  # The first one shows whether the provider responds at all.
            return
        under_way.append(token)
        most.append(len(under_way))
        together.wait(PATIENCE_SECONDS)
        under_way.remove(token)

    bench.provider.on_revoke = revoke
    assert bench.revocation.drain() == 1 + 2 * AT_ONCE
    assert max(most) == AT_ONCE
    assert len(set(bench.provider.revoked)) == 1 + 2 * AT_ONCE
    assert bench.outbox.waiting() == []


@pytest.mark.parametrize("confirmed", [0, 1, AT_ONCE + 1])
@pytest.mark.parametrize("asked", [0, 30, 86_400])
def test_all_stop_when_the_provider_refuses_for_as_long_as_it_asks(
    bench: Bench, confirmed: int, asked: int
) -> None:
    ended(bench, CLAIM_COUNT + 1)
    now, lock, requested = [1000.0], threading.Lock(), list[str]()
    bench.revocation._drain._clock = lambda: now[0]

    def revoke(token: str) -> None:
        with lock:
            requested.append(token)
            if len(requested) > confirmed:
                raise ProviderUnavailable("429", retry_after_seconds=asked or None)

    bench.provider.on_revoke = revoke
    assert bench.revocation.drain() == confirmed
    # What was under way at that moment, and nothing more.
    assert len(requested) - confirmed <= (AT_ONCE if confirmed else 1)
    requested.clear()
    if asked:
        for later in (0, min(asked, PAUSE_MAX_SECONDS) - 1):
            now[0] = 1000 + later
            due_now(bench)
            assert bench.revocation.drain() == 0
        assert requested == []
    due_now(bench)
    bench.provider.on_revoke = lambda _: None
    now[0] += 2
    while bench.revocation.drain():
        pass
    assert bench.outbox.waiting() == []


@pytest.mark.parametrize("killed_at", [0, 1, AT_ONCE])
def test_promise_3_what_was_under_way_at_a_kill_is_completed_by_another_process(
    make_bench: MakeBench, killed_at: int
) -> None:
    dying, other = make_bench(), make_bench()
    ended(dying, 3 * AT_ONCE)
    numbers = iter(range(1000))

    class Killed(BaseException):
        """Nothing catches it."""

    def revoke(_: str) -> None:
        if next(numbers) >= killed_at:
            raise Killed

    dying.provider.on_revoke = revoke
    with pytest.raises(Killed):
        dying.revocation.drain()
    due_now(other)
    assert other.revocation.drain() > 0
    assert other.outbox.waiting() == []
    revoked = {*dying.provider.revoked, *other.provider.revoked}
    assert revoked == {f"refresh-{number}" for number in range(3 * AT_ONCE)}
