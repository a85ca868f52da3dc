"""Single flight: one thread works for all, and what it met is met by all."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from bff.core.errors import ProviderUnavailable
from bff.tokens.single_flight import SingleFlight
from tests.support.waiting import wait_for

WAIT_SECONDS = 10.0


def aboard(
    flights: SingleFlight[str], pool: ThreadPoolExecutor, work: Callable[[], str]
) -> Future[str]:
    """One more caller, which has found the flight under way when this returns."""
    entered = threading.Event()
    real = flights._join

    def board(name: str) -> object:
        try:
            return real(name)
        finally:
            entered.set()

    flights._join = board  # type: ignore[assignment,method-assign]
    future = pool.submit(flights.share, "x", work)
    assert entered.wait(WAIT_SECONDS)
    flights._join = real  # type: ignore[method-assign]
    return future


def never() -> str:
    raise AssertionError("somebody does it already")


def test_the_others_take_the_first_one_s_result_or_error() -> None:
    for outcome in ("landed", ProviderUnavailable("503")):
        flights: SingleFlight[str] = SingleFlight(WAIT_SECONDS)
        go_on = threading.Event()

        def work(go_on: threading.Event = go_on, outcome: str | Exception = outcome) -> str:
            assert go_on.wait(WAIT_SECONDS)
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        with ThreadPoolExecutor(3) as pool:
            futures = [aboard(flights, pool, work), aboard(flights, pool, never)]
            assert flights.try_alone("x", never) is None
            go_on.set()
            met = [f.exception(WAIT_SECONDS) or f.result() for f in futures]
        assert met == [outcome, outcome]


def test_who_comes_after_the_landing_flies_anew() -> None:
    flights: SingleFlight[str] = SingleFlight(WAIT_SECONDS)
    assert [flights.share("x", lambda: "first"), flights.share("x", lambda: "second")] == [
        "first",
        "second",
    ]
    with pytest.raises(ProviderUnavailable):
        flights.share("x", _fails)
    assert flights.try_alone("x", lambda: "third") == "third"


def test_a_first_one_that_did_not_wait_for_its_turn_leaves_the_work_to_the_next() -> None:
    flights: SingleFlight[str] = SingleFlight(WAIT_SECONDS)
    go_on = threading.Event()

    def not_my_turn() -> None:
        assert go_on.wait(WAIT_SECONDS)

    with ThreadPoolExecutor(2) as pool:
        alone = pool.submit(flights.try_alone, "x", not_my_turn)
        wait_for(lambda: "x" in flights._under_way, "the first one's start")
        waiting = aboard(flights, pool, lambda: "done by the second")
        go_on.set()
        assert (alone.result(WAIT_SECONDS), waiting.result(WAIT_SECONDS)) == (
            None,
            "done by the second",
        )


def test_the_wait_for_another_thread_is_bounded() -> None:
    flights: SingleFlight[str] = SingleFlight(0.05)
    go_on = threading.Event()
    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(flights.try_alone, "x", lambda: str(go_on.wait(WAIT_SECONDS)))
        wait_for(lambda: "x" in flights._under_way, "the first one's start")
        with pytest.raises(ProviderUnavailable):
            flights.share("x", never)
        go_on.set()
        assert slow.result(WAIT_SECONDS) == "True"


def _fails() -> str:
    raise ProviderUnavailable("503")
