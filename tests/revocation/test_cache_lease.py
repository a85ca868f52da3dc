"""When is an end confirmed, if other processes may have cached the session?"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bff.core.background import Background
from bff.core.model import Group
from bff.revocation.cache_lease import MARGIN, CacheLease
from bff.revocation.revocation import Revocation
from bff.sessions.expiry import ExpirySweep
from tests.support.bench import Bench
from tests.support.caching_process import revocation_with

LEASE_SECONDS = 30.0
"""Long, since Redis's clock, which counts the trace of an ended session, runs on in a stall."""
WAIT_SECONDS = LEASE_SECONDS * MARGIN


class Time:
    """A clock that moves only by `sleep`, or when a test sets it."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def revocation(bench: Bench, time: Time) -> Revocation:
    """Ends sessions that other processes may have cached."""
    lease = CacheLease(LEASE_SECONDS, clock=lambda: time.now, sleep=time.sleep)
    return revocation_with(bench, lease)


def user(bench: Bench) -> Group:
    return Group.of_user("https://provider.example/", "auth0|dana")


@pytest.mark.parametrize(
    "end",
    [
        lambda r, key, _: r.end(key, "logout"),
        lambda r, key, _: r.end(key, "refresh_refused", generation=1),
        lambda r, key, bench: r.end_into(key, bench.start()),
        lambda r, key, bench: r.end_group(user(bench), "admin"),
        lambda r, key, bench: r.end_group(user(bench), "log_stream", before_at=bench.now() + 5),
        lambda r, key, _: r.end_these([key], "ended_by_user"),
    ],
    ids=["logout", "refresh refused", "hand-over", "group", "reported late", "devices"],
)
def test_every_end_waits(
    bench: Bench,
    revocation: Revocation,
    time: Time,
    end: Callable[[Revocation, str, Bench], object],
) -> None:
    end(revocation, bench.start(), bench)
    assert sum(time.slept) == pytest.approx(WAIT_SECONDS)


def test_the_wait_overlaps_with_the_revocation_at_the_provider(
    bench: Bench, revocation: Revocation, time: Time
) -> None:
    def slow(_: str) -> None:
        time.now += 0.3

    bench.provider.on_revoke = slow
    revocation.end(bench.start(), "logout")
    assert time.slept == [pytest.approx(WAIT_SECONDS - 0.3)]


def test_the_wait_counts_from_after_the_deletion(
    bench: Bench, revocation: Revocation, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    end_record = bench.records.end_record

    def slow(*arguments: object) -> object:
        outcome = end_record(*arguments)  # type: ignore[arg-type]
        time.now += 10
        return outcome

    monkeypatch.setattr(bench.records, "end_record", slow)
    revocation.end(bench.start(), "logout")
    assert time.slept == [pytest.approx(WAIT_SECONDS)]


def test_a_second_end_right_after_the_first_waits_too(
    bench: Bench, revocation: Revocation, time: Time
) -> None:
    """Its caller gets a response too, and after that the old cookie must not be accepted."""
    key = bench.start()
    revocation.end(key, "logout")
    time.slept.clear()
    assert revocation.end(key, "logout") is False
    assert time.slept == [pytest.approx(WAIT_SECONDS)]


def test_an_unknown_session_costs_no_wait(revocation: Revocation, time: Time) -> None:
    assert revocation.end("0" * 64, "logout") is False
    assert time.slept == []


def test_the_trace_of_an_ended_session_expires(
    bench: Bench, revocation: Revocation, time: Time
) -> None:
    key = bench.start()
    revocation.end(key, "logout")
    assert not [name for name in bench.stored() if ":tombstone:" in name]
    [trace] = [name for name in bench.stored() if ":over:" in name]
    left_ms = bench.database.command("PTTL", trace)
    assert LEASE_SECONDS * 1000 <= left_ms <= 2 * WAIT_SECONDS * 1000


def test_the_sweep_and_the_drain_do_not_wait(
    bench: Bench, revocation: Revocation, time: Time
) -> None:
    key, other = bench.start(), bench.start()
    name = bench.database.keys.session(key)
    bench.database.command("HSET", name, "idle_ends_at", bench.now() - 1)
    bench.indexes.set_deadline(key, bench.now() - 1)
    assert ExpirySweep(bench.stores, revocation, Background()).run() == 1
    bench.revocation.end_these([other], "admin")
    assert revocation.drain() == 2
    assert time.slept == []


def test_ends_that_share_a_response_wait_together(
    bench: Bench, revocation: Revocation, time: Time
) -> None:
    with revocation.together():
        for _ in range(5):
            time.now += 0.2
            revocation.end(bench.start(), "logout")
        assert time.slept == []
    assert time.slept == [pytest.approx(WAIT_SECONDS)]


def test_without_a_cache_anywhere_nothing_waits(bench: Bench, time: Time) -> None:
    lease = CacheLease(0, clock=lambda: time.now, sleep=time.sleep)
    key = bench.start()
    assert revocation_with(bench, lease).end(key, "logout")
    assert time.slept == []
    assert [name for name in bench.stored() if ":over:" in name] == []
