"""Does one thread work for all that want the same thing, and do all get its result or error?"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from bff.core.errors import ProviderUnavailable
from bff.tokens.single_flight import SingleFlight
from tests.support.waiting import wait_for

WAIT_SECONDS = 10.0


def joined(
    single_flight: SingleFlight[str], pool: ThreadPoolExecutor, work: Callable[[], str]
) -> Future[str]:
    """Another caller of `share`, which has joined the work when this returns."""
    entered = threading.Event()
    real = single_flight._join

    def join(name: str) -> object:
        try:
            return real(name)
        finally:
            entered.set()

    single_flight._join = join  # type: ignore[assignment,method-assign]
    future = pool.submit(single_flight.share, "x", work)
    assert entered.wait(WAIT_SECONDS)
    single_flight._join = real  # type: ignore[method-assign]
    return future


def never() -> str:
    raise AssertionError("another caller does it already")


def test_the_others_take_the_first_one_s_result_or_error() -> None:
    for outcome in ("result", ProviderUnavailable("503")):
        single_flight: SingleFlight[str] = SingleFlight(WAIT_SECONDS)
        go_on = threading.Event()

        def work(go_on: threading.Event = go_on, outcome: str | Exception = outcome) -> str:
            assert go_on.wait(WAIT_SECONDS)
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        with ThreadPoolExecutor(3) as pool:
            futures = [joined(single_flight, pool, work), joined(single_flight, pool, never)]
            assert single_flight.try_alone("x", never) is None
            go_on.set()
            outcomes = [f.exception(WAIT_SECONDS) or f.result() for f in futures]
        assert outcomes == [outcome, outcome]


def test_a_caller_after_the_end_of_the_work_does_it_anew() -> None:
    single_flight: SingleFlight[str] = SingleFlight(WAIT_SECONDS)
    results = [
        single_flight.share("x", lambda: "first"),
        single_flight.share("x", lambda: "second"),
    ]
    assert results == ["first", "second"]
    with pytest.raises(ProviderUnavailable):
        single_flight.share("x", _fails)
    assert single_flight.try_alone("x", lambda: "third") == "third"


def test_a_first_caller_that_did_not_wait_for_the_lock_leaves_the_work_to_the_next() -> None:
    single_flight: SingleFlight[str] = SingleFlight(WAIT_SECONDS)
    go_on = threading.Event()

    def without_the_lock() -> None:
        assert go_on.wait(WAIT_SECONDS)

    with ThreadPoolExecutor(2) as pool:
        alone = pool.submit(single_flight.try_alone, "x", without_the_lock)
        wait_for(lambda: "x" in single_flight._under_way, "the start of the first")
        waiting = joined(single_flight, pool, lambda: "done by the second")
        go_on.set()
        assert (alone.result(WAIT_SECONDS), waiting.result(WAIT_SECONDS)) == (
            None,
            "done by the second",
        )


def test_the_wait_for_another_thread_is_bounded() -> None:
    single_flight: SingleFlight[str] = SingleFlight(0.05)
    go_on = threading.Event()
    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(single_flight.try_alone, "x", lambda: str(go_on.wait(WAIT_SECONDS)))
        wait_for(lambda: "x" in single_flight._under_way, "the start of the first")
        with pytest.raises(ProviderUnavailable):
            single_flight.share("x", never)
        go_on.set()
        assert slow.result(WAIT_SECONDS) == "True"


def _fails() -> str:
    raise ProviderUnavailable("503")
