"""Do all sessions end, also when that takes longer than a caller waits, or the process dies?"""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from bff.core.errors import StoreUnavailable
from bff.core.model import Ended, Group
from bff.revocation import everyone_end
from bff.sessions.lifecycle import session_key
from tests.revocation.test_end import due_now
from tests.revocation.test_group_end import authenticated_at
from tests.support.bench import Bench, MakeBench
from tests.support.waiting import wait_for

COUNT = 7


@pytest.fixture(autouse=True)
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(everyone_end, "SLICE", 2)


def sessions(bench: Bench, count: int = COUNT) -> list[str]:
    return [
        bench.start(refresh=f"refresh-{n}", sid=f"sid-{n}", subject=f"user-{n}")
        for n in range(count)
    ]


def live(bench: Bench) -> int:
    return sum(":session:" in key for key in bench.stored())


def orders(bench: Bench) -> int:
    """How many ends of everyone are not complete."""
    return sum(entry.kind == "everyone" for entry in bench.outbox.waiting())


def all_revoked(bench: Bench, count: int = COUNT) -> bool:
    while bench.revocation.drain():
        pass
    return sorted(bench.provider.revoked) == [f"refresh-{n}" for n in range(count)]


def test_what_takes_too_long_goes_on_after_the_response(bench: Bench) -> None:
    sessions(bench)
    go_on, real = threading.Event(), bench.records.end_records

    def slowly(keys: list[str], reason: str) -> list[object]:
        assert go_on.wait(10)
        return list(real(keys, reason))

    bench.records.end_records = slowly  # type: ignore[method-assign,assignment]
    assert bench.sessions.end_everyone("admin", 0) == Ended(0, COUNT)
    assert live(bench) == COUNT, "it says so honestly"
    assert orders(bench) == 1
    go_on.set()
    wait_for(lambda: orders(bench) == 0, "the end of everyone")
    assert live(bench) == 0
    assert all_revoked(bench)


def test_what_is_done_in_time_leaves_no_order(bench: Bench) -> None:
    sessions(bench)
    assert bench.sessions.end_everyone("admin", 60) == Ended(COUNT)
    assert (live(bench), orders(bench)) == (0, 0)
    assert all_revoked(bench)


class Killed(BaseException):
    """Like SIGKILL, nothing catches it."""


def by_drain(bench: Bench) -> None:
    due_now(bench)
    bench.revocation.drain()


def by_command(bench: Bench) -> None:
    bench.revocation.retry_all()


@pytest.mark.parametrize("completing", [by_drain, by_command], ids=["the drain", "--retry"])
@pytest.mark.parametrize("slices", [0, 2], ids=["before any has ended", "half way"])
def test_an_end_of_everyone_survives_the_process_that_began_it(
    make_bench: MakeBench, slices: int, completing: Callable[[Bench], None]
) -> None:
    dying, other = make_bench(), make_bench()
    sessions(dying)
    real, calls = dying.records.end_records, iter(range(slices))

    def die(keys: list[str], reason: str) -> list[object]:
        if next(calls, None) is None:
            raise Killed
        return list(real(keys, reason))

    dying.records.end_records = die  # type: ignore[method-assign,assignment]
    with pytest.raises(Killed):
        dying.sessions.end_everyone("admin", 60)
    assert live(other) == COUNT - 2 * slices
    [order] = [entry for entry in other.outbox.waiting() if entry.kind == "everyone"]
    later = int(order.created_at) + 60
    cookie_id = other.sessions.start(authenticated_at(other, later, subject="newer", sid="newer"))
    newer = session_key(cookie_id) or ""
    completing(other)
    wait_for(lambda: orders(other) == 0, "the end of everyone")
    assert live(other) == 1
    assert other.load(newer), "who has signed in since stays signed in"
    assert (other.watermarks.newest_of([Group.everyone()]) or later) < later
    due_now(other)
    assert all_revoked(other)


def test_an_outage_in_the_middle_is_reported_and_the_end_goes_on_later(bench: Bench) -> None:
    sessions(bench)
    real = bench.records.end_records

    def away(keys: list[str], reason: str) -> list[object]:
        raise StoreUnavailable("away")

    bench.records.end_records = away  # type: ignore[method-assign,assignment]
    with pytest.raises(StoreUnavailable):
        bench.sessions.end_everyone("admin", 60)
    bench.records.end_records = real  # type: ignore[method-assign]
    by_drain(bench)
    wait_for(lambda: orders(bench) == 0, "the end of everyone")
    assert live(bench) == 0
