"""How soon does the background thread run a job that is asked for, such as the drain?"""

from __future__ import annotations

import threading

from bff.core.background import Background
from bff.core.model import Group
from bff.revocation.revocation import CLAIM_COUNT
from tests.support.bench import Bench

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
