"""How many sessions can a user have, and how many round trips does a list of them take?"""

from __future__ import annotations

import logging
from typing import Any

import pytest

from bff.core.errors import StoreUnavailable
from bff.core.model import Group
from tests.support.bench import Bench, MakeBench

DANA = Group.of_user("https://provider.example/", "auth0|dana")


def alive(bench: Bench, keys: list[str]) -> list[bool]:
    return [bench.sessions.load(key, slide=False) is not None for key in keys]


def started(bench: Bench, count: int) -> list[str]:
    """The keys of sessions that end one after the other, the first one first."""
    keys = []
    for number in range(count):
        keys.append(bench.start(refresh=f"refresh-{number}", sid=f"sid-{number}"))
        [name] = bench.indexes._names(DANA)
        ends_at = int(bench.database.command("ZSCORE", name, keys[-1]))
        bench.database.command("ZADD", name, ends_at - 1_000 + number, keys[-1])
    return keys


def test_a_sign_in_beyond_the_limit_ends_the_oldest_session(make_bench: MakeBench) -> None:
    bench = make_bench(BFF_SESSIONS_PER_USER_MAX="3")
    others = [bench.start(subject="auth0|eve") for _ in range(3)]
    keys = started(bench, 5)
    assert alive(bench, keys) == [False, False, True, True, True]
    assert all(alive(bench, others))
    bench.revocation.drain()
    assert set(bench.provider.revoked) == {"refresh-0", "refresh-1"}


def test_sessions_that_have_ended_do_not_count(make_bench: MakeBench) -> None:
    """Their index entries stay until their tokens are revoked."""
    bench = make_bench(BFF_SESSIONS_PER_USER_MAX="3")
    keys = started(bench, 3)
    bench.records.end_records(keys[1:], "test")
    keys += started(bench, 2)
    assert alive(bench, keys) == [True, False, False, True, True]


def test_a_lower_limit_applies_to_sessions_that_are_there_already(make_bench: MakeBench) -> None:
    keys = started(make_bench(), 6)
    bench = make_bench(BFF_SESSIONS_PER_USER_MAX="2")
    keys.append(bench.start())
    assert alive(bench, keys) == [False] * 5 + [True, True]


def test_zero_means_any_number(make_bench: MakeBench) -> None:
    bench = make_bench(BFF_SESSIONS_PER_USER_MAX="0")
    assert all(alive(bench, started(bench, 6)))


def test_the_new_session_stays_even_if_it_ends_first(make_bench: MakeBench) -> None:
    bench = make_bench(BFF_SESSIONS_PER_USER_MAX="1", BFF_SESSION_ABSOLUTE_SECONDS="86400")
    old = bench.start()
    short = make_bench(
        BFF_SESSIONS_PER_USER_MAX="1", BFF_SESSION_ABSOLUTE_SECONDS="60",
        BFF_SESSION_IDLE_SECONDS="60",
    )  # fmt: skip
    assert alive(bench, [old, short.start()]) == [False, True]


def test_a_limit_that_can_not_be_enforced_fails_no_sign_in(
    make_bench: MakeBench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bench = make_bench(BFF_SESSIONS_PER_USER_MAX="1")
    first = bench.start()

    def refuse(*_: object) -> list[bool]:
        raise StoreUnavailable("just now")

    monkeypatch.setattr(bench.records, "exist", refuse)
    assert all(alive(bench, [first, bench.start()]))
    assert [r.levelno for r in caplog.records if "SESSIONS_PER_USER" in r.getMessage()] == [
        logging.WARNING
    ]


@pytest.mark.parametrize("count", [1, 150])
def test_a_list_takes_a_round_trip_for_each_hundred(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    keys = [bench.start() for _ in range(count)]
    trips: list[Any] = []
    send, pipelined = bench.database._send, bench.database._pipelined

    def counted(of: Any) -> Any:
        def run(*arguments: Any) -> Any:
            trips.append(arguments)
            return of(*arguments)

        return run

    monkeypatch.setattr(bench.database, "_send", counted(send))
    monkeypatch.setattr(bench.database, "_pipelined", counted(pipelined))
    assert {session.key for session in bench.sessions.of_group(DANA)} == set(keys)
    assert len(trips) == 2 + (count > 100)
