"""Wrong keys are answered slowly, and keep nobody with the right key from being answered."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from bff.core.errors import KeysTried
from bff.machine_api.wrong_keys import FREE, PAUSE_SECONDS, WAIT_MAX_SECONDS, WrongKeys
from tests.support.admin_calls import BY_KEY, ask, assert_problem
from tests.support.fixtures import MakeReceiver

LIST = "/admin/sessions?sub=nobody"
AT_ONCE = FREE + round(WAIT_MAX_SECONDS / PAUSE_SECONDS)
"""So many are answered; the last of them after `WAIT_MAX_SECONDS`."""


def test_after_a_few_each_wrong_key_waits_its_turn() -> None:
    waits: list[float] = []
    keys = WrongKeys(clock=lambda: 1000.0, sleep=waits.append)
    for _ in range(AT_ONCE):
        keys.slow_down()
    assert waits == [PAUSE_SECONDS * (number + 1) for number in range(AT_ONCE - FREE)]
    with pytest.raises(KeysTried):
        keys.slow_down()


def test_it_is_forgotten_after_a_while() -> None:
    waits: list[float] = []
    now = 1000.0
    keys = WrongKeys(clock=lambda: now, sleep=waits.append)
    for _ in range(FREE):
        keys.slow_down()
    now += FREE * PAUSE_SECONDS
    for _ in range(FREE):
        keys.slow_down()
    assert waits == []


def test_the_right_key_is_answered_at_once_meanwhile(receiver_for: MakeReceiver) -> None:
    bff = receiver_for(**BY_KEY)
    with ThreadPoolExecutor(40) as threads:
        tried = [threads.submit(ask, bff, "GET", LIST, key=f"wrong-{n}") for n in range(40)]
        began_at = time.monotonic()
        for _ in range(5):
            assert ask(bff, "GET", LIST).status_code == 200
        took_seconds = time.monotonic() - began_at
        assert not all(one.done() for one in tried)
        answers = [one.result() for one in tried]
    assert took_seconds < WAIT_MAX_SECONDS
    assert {one.status_code for one in answers} == {401, 429}
    assert sum(one.status_code == 401 for one in answers) <= AT_ONCE + 2
    refused = next(one for one in answers if one.status_code == 429)
    assert_problem(refused, 429, "too_many_wrong_keys")
    assert refused.headers["Retry-After"] == "2"
