"""Can another process complete an end from its intent, exactly as it was meant?"""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from bff.core.errors import ProviderUnavailable, StoreUnavailable
from bff.store import Entry
from tests.revocation.test_end import due_now, failing
from tests.support.bench import Bench, MakeBench


class Killed(BaseException):
    """Like SIGKILL, nothing catches it."""


def kill(*_: object, **__: object) -> None:
    raise Killed


def killed_before_the_tombstone(bench: Bench, end: Callable[[], object]) -> None:
    """Run *end* in a process that is killed just after it has written the intent."""
    real = bench.records.end_record
    bench.records.end_record = kill  # type: ignore[assignment,method-assign]
    with pytest.raises(Killed):
        end()
    bench.records.end_record = real  # type: ignore[method-assign]


def refreshed(bench: Bench, key: str) -> None:
    """Another process renews the session's tokens."""
    session = bench.load(key)
    sealed = bench.records.seal_tokens(key, session.tokens)
    outcome = bench.records.replace_tokens(key, session.generation, "another", sealed)
    assert outcome == "applied"


def end_refused(bench: Bench, key: str) -> None:
    bench.revocation.end(key, "refresh_refused", generation=1)


def test_an_end_that_was_meant_for_older_tokens_leaves_the_newer(make_bench: MakeBench) -> None:
    crashing, other = make_bench(), make_bench()
    key = crashing.start()
    killed_before_the_tombstone(crashing, lambda: end_refused(crashing, key))
    refreshed(other, key)
    due_now(other)
    other.revocation.drain()
    assert other.load(key)
    assert other.outbox.waiting() == [], "the end is not tried again"


def test_such_an_end_does_not_stand_in_for_a_logout(make_bench: MakeBench) -> None:
    """Both are interrupted; the logout must be completed whatever happens to the other."""
    crashing, other = make_bench(), make_bench()
    key = crashing.start()
    killed_before_the_tombstone(crashing, lambda: end_refused(crashing, key))
    refreshed(other, key)
    killed_before_the_tombstone(crashing, lambda: crashing.sessions.end(key, "logout"))
    due_now(other)
    other.revocation.drain()
    assert other.sessions.load(key) is None
    assert other.provider.revoked == ["refresh-0"]


def test_a_hand_over_is_completed_as_a_hand_over(make_bench: MakeBench) -> None:
    """At many providers, revoking the old token would revoke the new session's tokens too."""
    crashing, other = make_bench(), make_bench()
    old, new = crashing.start(), crashing.start(refresh="refresh-new")
    killed_before_the_tombstone(crashing, lambda: crashing.revocation.end_into(old, new))
    due_now(other)
    assert other.revocation.drain() == 1
    assert other.sessions.load(old) is None
    assert other.provider.revoked == []
    assert other.load(new).tokens.all_refresh_tokens() == ("refresh-new", "refresh-0")


def test_an_intent_is_claimed_by_the_process_that_writes_it(make_bench: MakeBench) -> None:
    first, other = make_bench(), make_bench()
    claimed: list[list[Entry]] = []
    first.provider.on_revoke = lambda _: claimed.append(other.outbox.claim_due(1, 10))
    first.sessions.end(first.start(), "logout")
    assert claimed == [[]]


def test_each_retry_waits_longer_up_to_a_limit(bench: Bench) -> None:
    bench.provider.on_revoke = failing(ProviderUnavailable("503"))
    bench.sessions.end(bench.start(), "logout")
    name, waits = bench.database.keys.outbox_due(), []
    for _ in range(5):
        [entry] = bench.outbox.waiting()
        due_at = float(bench.database.command("ZSCORE", name, entry.id))
        waits.append(math.ceil(due_at - bench.database.now()))
        due_now(bench)
        bench.revocation.drain()
    assert waits == [1, 2, 4, 6, 6]


def test_promise_3_a_discarded_refresh_token_waits_in_the_outbox(bench: Bench) -> None:
    bench.provider.on_revoke = failing(ProviderUnavailable("503"))
    bench.pending_writes.discard("refresh-x", "client-x")
    [entry] = bench.outbox.waiting()
    tokens = bench.outbox.open_tokens(entry)
    assert (tokens.refresh_token, tokens.client_id) == ("refresh-x", "client-x")
    assert (tokens.access_token, entry.reason) == ("", "answer_refused")


def test_promise_3_tokens_without_a_session_are_pending_while_redis_is_down(bench: Bench) -> None:
    real = bench.outbox.add

    def refuse(*_: object, **__: object) -> None:
        raise StoreUnavailable("away")

    bench.outbox.add = refuse  # type: ignore[method-assign]
    bench.pending_writes.revoke(bench.sign_in().tokens, "answer_refused")
    assert bench.pending_writes.retry() == 1
    bench.outbox.add = real  # type: ignore[method-assign]
    assert bench.pending_writes.retry() == 0
    assert bench.provider.revoked == ["refresh-0"]
