"""How many requests may wait for upstreams: of the process, of a route, of a session?"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any

import pytest

from bff.core.errors import Overloaded
from bff.core.work_slots import WorkSlots
from bff.gateway.upstream_requests import ANYBODY, Place, UpstreamRequests
from tests.support.waiting import wait_for

PLACES = 16


def fill(
    requests: UpstreamRequests, route: str, session_key: str | None, user: str | None = None
) -> list[Place]:
    """Take places until there is none."""
    taken: list[Place] = []
    with suppress(Overloaded):
        while True:
            taken.append(requests.enter(route, session_key, user))
    return taken


@pytest.mark.parametrize(
    ("routes", "entering", "expected"),
    [
        (1, [("/a", None)], [16]),
        (2, [("/a", None), ("/b", None), ("/c", None)], [12, 4, 0]),
        (1, [("/a", "one"), ("/a", "two")], [4, 4]),
        (2, [("/a", "one"), ("/b", "one"), ("/c", "one"), ("/c", "two")], [4, 4, 0, 4]),
        (1, [("/a", str(n), "u") for n in range(4)] + [("/a", "5", "v")], [4, 4, 4, 0, 4]),
        (2, [("/a", str(n), "u") for n in range(3)] + [("/a", "5", "v")], [4, 4, 1, 3]),
        (2, [("/a", None, ANYBODY), ("/b", None, ANYBODY), ("/b", "one", "u")], [9, 3, 4]),
    ],
    ids=["the process", "a route", "a session on a route", "a session", "a user",
         "a user on a route", "anybody"],
)  # fmt: skip
def test_nobody_takes_all_places(
    routes: int, entering: list[tuple[Any, ...]], expected: list[int]
) -> None:
    requests = UpstreamRequests(PLACES, routes, patience_seconds=0)
    taken = [fill(requests, *one) for one in entering]
    assert [len(places) for places in taken] == expected
    for place in sum(taken, []):
        place.leave()
        place.leave()
    assert [len(fill(requests, *entering[0]))] == expected[:1], "each was given back once"


def test_a_place_that_is_given_back_goes_to_the_first_who_may_have_it() -> None:
    requests = UpstreamRequests(2, 2, patience_seconds=20)
    on_a, on_b = requests.enter("/a", None), requests.enter("/b", None)
    entered: list[str] = []

    def enter(route: str) -> None:
        requests.enter(route, None)
        entered.append(route)

    threads = [threading.Thread(target=enter, args=(route,)) for route in ("/a", "/b")]
    for number, thread in enumerate(threads, 1):
        thread.start()
        wait_for(lambda: len(requests._queue) == number, "a request that waits")  # noqa: B023
    # The first in the queue waits for the other route.
    on_b.leave()
    threads[1].join(20)
    assert entered == ["/b"]
    on_a.leave()
    threads[0].join(20)
    assert entered == ["/b", "/a"]


def test_a_request_that_waits_keeps_nobody_from_working() -> None:
    slots, requests = WorkSlots(1), UpstreamRequests(1, 1, patience_seconds=20)
    place = requests.enter("/a", None)

    def wait() -> None:
        slots.take()
        requests.enter("/a", None)
        slots.give_back()

    waiting = threading.Thread(target=wait)
    waiting.start()
    wait_for(lambda: bool(requests._queue), "the request to wait")
    slots.take()
    slots.give_back()
    place.leave()
    waiting.join(20)
    assert not waiting.is_alive()
