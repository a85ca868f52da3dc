"""Do sessions that expire end soon, however many they are, and is no refresh token lost?"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from bff.core.background import Background
from bff.core.errors import ProviderUnavailable
from bff.sessions import expiry
from bff.sessions.expiry import ExpirySweep
from tests.revocation.test_end import due_now
from tests.support.bench import Bench, MakeBench
from tests.support.waiting import wait_for

NEVER_SECONDS = 3600.0


class Killed(BaseException):
    """Like SIGKILL, nothing catches it."""


def expired_sessions(bench: Bench, count: int) -> list[str]:
    """Sessions of one instant, each with a refresh token and a provider session of its own."""
    keys = [bench.start(refresh=f"refresh-{n}", sid=f"sid-{n}") for n in range(count)]
    past = bench.now() - 1
    for key in keys:
        bench.database.command("HSET", bench.database.keys.session(key), "idle_ends_at", past)
        bench.indexes.set_deadline(key, past)
    return keys


def test_sessions_that_expire_together_end_without_a_pause_between_rounds(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 205
    monkeypatch.setattr(expiry, "BATCH", 100)
    expired_sessions(bench, count)
    background = Background()
    sweep = ExpirySweep(bench.stores, bench.revocation, background)
    background.every(NEVER_SECONDS, sweep.run)
    background.start()
    try:
        wait_for(lambda: len(bench.outbox.waiting()) == count, "the end of all")
    finally:
        background.stop()
    assert not [key for key in bench.stored() if ":session:" in key or ":deadlines" in key]


@pytest.mark.parametrize("provider", ["slow", "away"])
def test_the_sweep_does_not_wait_for_the_provider(bench: Bench, provider: str) -> None:
    """A hundred time-outs one after the other would keep everything else from being done."""
    asked = threading.Event()

    def revoke(_: str) -> None:
        asked.set()
        if provider == "away":
            raise ProviderUnavailable("503")

    bench.provider.on_revoke = revoke
    keys = expired_sessions(bench, 3)
    assert bench.sweep.run() == 3
    assert not asked.is_set()
    assert {entry.session_key for entry in bench.outbox.waiting()} == set(keys)
    assert bench.revocation.drain() == (0 if provider == "away" else 3)


STEPS: dict[str, Callable[[Bench], tuple[Any, str, bool]]] = {
    "after the claim": lambda b: (b.records, "deadlines", True),
    "before the intents": lambda b: (b.outbox, "add_all", True),
    "after the intents": lambda b: (b.outbox, "add_all", False),
    "after the tombstones": lambda b: (b.records, "end_records", False),
    "after the deny-list": lambda b: (b.deny_list, "add", False),
    "after the entries are due": lambda b: (b.outbox, "make_due", False),
    "before the deadlines go": lambda b: (b.indexes, "forget_deadlines", True),
}
"""The object, its method, and whether the process dies before it or after."""


@pytest.mark.parametrize("step", STEPS)
def test_promise_3_a_sweep_that_is_killed_forgets_no_refresh_token(
    make_bench: MakeBench, step: str
) -> None:
    dying, other = make_bench(), make_bench()
    expired_sessions(dying, 3)
    owner, name, before = STEPS[step](dying)
    real = getattr(owner, name)

    def die(*args: Any, **options: Any) -> None:
        if not before:
            real(*args, **options)
        raise Killed

    setattr(owner, name, die)
    with pytest.raises(Killed):
        dying.sweep.run()
    for member in other.database.command("ZRANGE", other.database.keys.deadlines(), 0, -1):
        other.indexes.set_deadline(member.decode(), 0)  # The claim has expired.
    due_now(other)
    other.sweep.run()
    due_now(other)
    other.revocation.drain()
    assert sorted(other.provider.revoked) == ["refresh-0", "refresh-1", "refresh-2"]
    assert other.deny_list.contains("access-0")
    left = [k for k in other.stored() if any(f":{n}" in k for n in ("session", "tomb", "{outbox}"))]
    assert left == []
    assert other.sweep.run() == 0
