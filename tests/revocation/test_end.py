"""Which steps does an end take, and what completes it after a crash or an outage?

docs/architecture/ending.md has the five steps.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bff.core import audit
from bff.core.errors import BFFError, ProviderRejected, ProviderUnavailable, StoreUnavailable
from tests.support.bench import Bench, MakeBench


def failing(error: BFFError) -> Callable[[str], None]:
    def fail(_: str) -> None:
        raise error

    return fail


def due_now(bench: Bench) -> None:
    """Make all entries of the outbox due."""
    name = bench.database.keys.outbox_due()
    for member in bench.database.command("ZRANGE", name, 0, -1):
        bench.database.command("ZADD", name, 0, member)


def test_an_end_leaves_nothing_behind(bench: Bench) -> None:
    key = bench.start()
    assert bench.sessions.end(key, "logout")
    assert bench.sessions.load(key) is None
    assert bench.provider.revoked == ["refresh-0"]
    assert [k for k in bench.stored() if ":deny:" not in k] == []


def test_ending_twice_is_no_error(bench: Bench) -> None:
    key = bench.start()
    assert bench.sessions.end(key, "logout") is True
    assert bench.sessions.end(key, "logout") is False
    assert bench.provider.revoked == ["refresh-0"]


def test_the_access_token_is_listed_until_it_expires(bench: Bench) -> None:
    key = bench.start()
    bench.sessions.end(key, "logout")
    [listed] = [k for k in bench.stored() if ":deny:" in k]
    left_seconds = bench.database.command("TTL", listed)
    assert 280 < left_seconds <= 300 + bench.config.clock_skew_seconds


def test_the_end_is_final_before_the_provider_is_asked(bench: Bench) -> None:
    key = bench.start()
    seen: list[object] = []

    def look(_: str) -> None:
        seen.append(bench.sessions.load(key))
        seen.append(bench.deny_list.contains("access-0"))
        seen.append(len(bench.outbox.waiting()))

    bench.provider.on_revoke = look
    bench.sessions.end(key, "logout")
    assert seen == [None, True, 1]


@pytest.mark.parametrize(
    ("error", "code", "wait"),
    [
        (ProviderUnavailable("503"), "provider_unavailable", 1),
        (ProviderUnavailable("429", retry_after_seconds=77), "provider_unavailable", 77),
        (ProviderRejected("invalid_client", 401), "invalid_client", 3600),
        (ProviderRejected("unsupported_revocation", 404), "unsupported_revocation", 3600),
    ],
    ids=["outage", "rate limit", "refused", "no endpoint"],
)
def test_a_revocation_that_the_provider_did_not_confirm_stays_in_the_outbox(
    bench: Bench, error: BFFError, code: str, wait: int
) -> None:
    bench.provider.on_revoke = failing(error)
    key = bench.start()
    assert bench.sessions.end(key, "logout"), "a logout never fails because the provider does"
    assert bench.sessions.load(key) is None
    [entry] = bench.outbox.waiting()
    assert (entry.reason, entry.attempts, entry.last_error) == ("logout", 1, code)
    name = bench.database.keys.outbox_due()
    due_at = float(bench.database.command("ZSCORE", name, entry.id))
    assert wait - 2 < due_at - bench.database.now() <= wait


def test_the_drain_completes_the_revocation_when_the_provider_is_back(bench: Bench) -> None:
    bench.provider.on_revoke = failing(ProviderUnavailable("503"))
    bench.sessions.end(bench.start(), "logout")
    assert bench.revocation.drain() == 0, "not due yet"
    due_now(bench)
    assert bench.revocation.drain() == 0, "still down"
    bench.provider.on_revoke = lambda _: None
    due_now(bench)
    assert bench.revocation.drain() == 1
    assert bench.provider.revoked == ["refresh-0"]
    assert [k for k in bench.stored() if ":deny:" not in k] == []


@pytest.mark.parametrize(
    "step",
    ["records.end_record", "deny_list.add", "records.delete_tombstone", "outbox.done"],
)
def test_a_crash_at_any_step_is_completed_by_another_process(
    make_bench: MakeBench, step: str
) -> None:
    crashing, other = make_bench(), make_bench()
    key = crashing.start()
    part, name = step.split(".")

    class Killed(BaseException):
        """Like SIGKILL, nothing catches it."""

    def kill(*_: object, **__: object) -> None:
        raise Killed

    setattr(getattr(crashing, part), name, kill)
    with pytest.raises(Killed):
        crashing.sessions.end(key, "logout")
    due_now(other)
    assert other.revocation.drain() == 1
    assert other.sessions.load(key) is None
    assert "refresh-0" in crashing.provider.revoked + other.provider.revoked
    assert other.deny_list.contains("access-0")
    assert [k for k in other.stored() if ":deny:" not in k] == []


def test_an_end_while_redis_is_down_is_reported_as_failed(bench: Bench) -> None:
    key = bench.start()

    def refuse(*_: object, **__: object) -> None:
        raise StoreUnavailable("away")

    bench.outbox.add = refuse  # type: ignore[method-assign]
    with pytest.raises(StoreUnavailable):
        bench.sessions.end(key, "logout")
    assert bench.load(key), "the session continues"


def test_redis_failing_after_the_tombstone_does_not_fail_the_logout(bench: Bench) -> None:
    key = bench.start()

    def refuse(*_: object, **__: object) -> None:
        raise StoreUnavailable("away")

    bench.indexes.remove = refuse  # type: ignore[method-assign]
    assert bench.sessions.end(key, "logout")
    assert bench.sessions.load(key) is None
    assert len(bench.outbox.waiting()) == 1


def test_several_refresh_tokens_share_one_time_limit(make_bench: MakeBench) -> None:
    bench = make_bench(BFF_PROVIDER_TIMEOUT_SECONDS="5")
    ticks = iter([0.0, 1.0, 6.0])
    bench.revocation._steps._clock = lambda: next(ticks)
    key = bench.start()
    assert bench.records.keep_refresh_tokens(key, ("refresh-old",))
    assert bench.sessions.end(key, "logout")
    assert bench.provider.revoked == ["refresh-0"]
    assert len(bench.outbox.waiting()) == 1


def test_tokens_without_a_session_are_revoked_through_the_outbox(bench: Bench) -> None:
    bench.provider.on_revoke = failing(ProviderUnavailable("503"))
    bench.pending_writes.revoke(bench.sign_in().tokens, "sign_in_not_stored")
    [entry] = bench.outbox.waiting()
    assert entry.kind == "tokens"
    assert b"refresh-0" not in entry.sealed_tokens
    bench.provider.on_revoke = lambda _: None
    due_now(bench)
    assert bench.revocation.drain() == 1
    assert bench.provider.revoked == ["refresh-0"]


def test_an_entry_that_one_process_has_claimed_goes_to_no_other(make_bench: MakeBench) -> None:
    first, second = make_bench(), make_bench()
    first.provider.on_revoke = failing(ProviderUnavailable("503"))
    first.sessions.end(first.start(), "logout")
    due_now(first)
    assert len(first.outbox.claim_due(30, 10)) == 1
    assert second.outbox.claim_due(30, 10) == []


def test_a_drain_stops_at_the_first_outage(bench: Bench) -> None:
    bench.provider.on_revoke = failing(ProviderUnavailable("503"))
    for _ in range(4):
        bench.sessions.end(bench.start(), "logout")
    due_now(bench)
    requested: list[str] = []

    def still_down(token: str) -> None:
        requested.append(token)
        raise ProviderUnavailable("503")

    bench.provider.on_revoke = still_down
    assert bench.revocation.drain() == 0
    assert len(requested) == 1
    assert len(bench.outbox.waiting()) == 4
    assert bench.outbox.claim_due(1, 10) == [], "the others wait too"
    bench.provider.on_revoke = lambda _: None
    due_now(bench)
    assert bench.revocation.drain() == 4


# ------------------------------------------------------------ revocations that are never confirmed


def aged(bench: Bench, seconds: int) -> None:
    """Make the intents older by *seconds*."""
    for entry in bench.outbox.waiting():
        name = bench.database.keys.outbox_entry(entry.id)
        bench.database.command("HSET", name, "created_at", entry.created_at - seconds)


@pytest.mark.parametrize(
    "error", [ProviderUnavailable("503"), ProviderRejected("invalid_client", 401)]
)
def test_a_revocation_is_given_up_when_the_token_has_expired_by_itself(
    bench: Bench, error: BFFError
) -> None:
    bench.provider.on_revoke = failing(error)
    bench.sessions.end(bench.start(), "logout")
    lifetime = bench.config.refresh_token_lifetime_seconds
    aged(bench, lifetime - 60)
    due_now(bench)
    bench.revocation.drain()
    assert len(bench.outbox.waiting()) == 1
    given_up = audit.counts["revocation_given_up", "failed"]
    aged(bench, 120)
    due_now(bench)
    bench.revocation.drain()
    assert bench.outbox.waiting() == []
    assert not [k for k in bench.stored() if ":tombstone:" in k]
    assert audit.counts["revocation_given_up", "failed"] == given_up + 1


def test_a_revocation_that_succeeds_is_not_given_up_however_old_it_is(bench: Bench) -> None:
    bench.provider.on_revoke = failing(ProviderUnavailable("503"))
    bench.sessions.end(bench.start(), "logout")
    aged(bench, bench.config.refresh_token_lifetime_seconds + 60)
    bench.provider.on_revoke = lambda _: None
    due_now(bench)
    assert bench.revocation.drain() == 1
    assert bench.provider.revoked == ["refresh-0"]


def test_an_entry_that_can_t_be_opened_stays_until_the_token_has_expired(
    bench: Bench, make_bench: MakeBench
) -> None:
    bench.provider.on_revoke = failing(ProviderUnavailable("503"))
    bench.sessions.end(bench.start(), "logout")
    other = make_bench(AUTH0_SECRET="n" * 40)
    due_now(other)
    other.revocation.drain()
    assert [e.last_error for e in other.outbox.waiting()] == ["seal_invalid"]
    aged(other, other.config.refresh_token_lifetime_seconds + 60)
    due_now(other)
    other.revocation.drain()
    assert other.outbox.waiting() == []
