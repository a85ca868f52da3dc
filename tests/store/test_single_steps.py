"""What does each step in Redis write: lifetimes, locks, and conditions that must hold?"""

from __future__ import annotations

import msgspec
import pytest

from bff.core.errors import SealInvalid
from bff.core.model import Group
from bff.store import Entry
from tests.support.bench import SECRET, Bench, MakeBench

DAY = 86_400
ISSUER = "https://provider.example/"


def record_name(bench: Bench, key: str) -> str:
    return bench.database.keys.session(key)


def tombstone_name(bench: Bench, key: str) -> str:
    return bench.database.keys.tombstone(key)


def seconds_left(bench: Bench, name: str) -> int:
    return int(bench.database.command("TTL", name))


def deadline_of(bench: Bench, key: str) -> float | None:
    score = bench.database.command("ZSCORE", bench.database.keys.deadlines(), key)
    return None if score is None else float(score)


# ---------------------------------------------------------------- the record


def test_an_ended_session_can_not_be_created_again(bench: Bench) -> None:
    key = bench.start()
    session = bench.load(key)
    assert bench.records.end_record(key, "logout").kind == "ended"
    assert bench.records.create(session) is False
    assert bench.sessions.load(key) is None


def test_the_record_outlasts_the_session_by_the_lifetime_of_a_refresh_token(bench: Bench) -> None:
    """Its TTL is a safety net for the sweep: with the record, unrevoked tokens would be lost."""
    config = bench.config
    left = seconds_left(bench, record_name(bench, bench.start()))
    expected = config.session_absolute_seconds + config.refresh_token_lifetime_seconds
    assert expected - 5 <= left <= expected


def test_a_short_idle_time_slides_in_time(make_bench: MakeBench) -> None:
    """Once a minute would be too late for an idle time of one minute."""
    bench = make_bench(BFF_SESSION_IDLE_SECONDS="60")
    key = bench.start()
    for field in ("last_seen_at", "idle_ends_at"):
        bench.database.command("HINCRBY", record_name(bench, key), field, -15)
    assert bench.load(key).idle_ends_at >= bench.now() + 59


def test_a_sealed_field_moved_to_another_field_does_not_open(bench: Bench) -> None:
    """Else data of the application could become an identity."""
    key = bench.start()
    forged = msgspec.json.encode({"issuer": ISSUER, "subject": "auth0|admin"})
    assert bench.sessions.write_data(key, forged)
    name = record_name(bench, key)
    data = bench.database.command("HGET", name, "data")
    bench.database.command("HSET", name, "identity", data)
    with pytest.raises(SealInvalid):
        bench.sessions.load(key)


def test_replacing_tokens_has_four_outcomes(bench: Bench) -> None:
    key = bench.start()
    sealed = bench.records.seal_tokens(key, bench.sign_in().tokens)
    assert bench.records.replace_tokens(key, 1, "mine", sealed) == "applied"
    assert bench.records.replace_tokens(key, 1, "mine", sealed) == "already"
    assert bench.records.replace_tokens(key, 1, "yours", sealed) == "superseded"
    assert bench.load(key).generation == 2
    bench.sessions.end(key, "logout")
    assert bench.records.replace_tokens(key, 2, "late", sealed) == "gone"
    assert bench.sessions.load(key) is None


# ---------------------------------------------------------------- the lock


def test_the_lock_has_a_lifetime_and_one_owner(bench: Bench) -> None:
    key = bench.start()
    assert bench.refresh_lock.begin_refresh(key, 1, "me", 15).kind == "yours"
    assert 14_000 < int(bench.database.command("PTTL", bench.database.keys.lock(key))) <= 15_000
    assert bench.refresh_lock.begin_refresh(key, 1, "me", 15).kind == "yours", "a repeated command"
    assert bench.refresh_lock.begin_refresh(key, 1, "you", 15).kind == "locked"


def test_the_lock_is_renewed_by_its_owner_only(bench: Bench) -> None:
    key = bench.start()
    lock = bench.database.keys.lock(key)
    bench.refresh_lock.begin_refresh(key, 1, "me", 2)
    assert bench.refresh_lock.renew_lock(key, "you", 60) is False
    assert int(bench.database.command("PTTL", lock)) <= 2_000
    assert bench.refresh_lock.renew_lock(key, "me", 60) is True
    assert int(bench.database.command("PTTL", lock)) > 50_000


def test_the_lock_is_released_by_its_owner_only(bench: Bench) -> None:
    key = bench.start()
    bench.refresh_lock.begin_refresh(key, 1, "me", 15)
    bench.refresh_lock.end_refresh(key, "you")
    assert bench.refresh_lock.begin_refresh(key, 1, "you", 15).kind == "locked"
    bench.refresh_lock.end_refresh(key, "me")
    assert bench.refresh_lock.begin_refresh(key, 1, "you", 15).kind == "yours"


def test_an_ended_session_has_no_refresh_lock(bench: Bench) -> None:
    key = bench.start()
    bench.database.command("HSET", record_name(bench, key), "idle_ends_at", bench.now())
    assert bench.refresh_lock.begin_refresh(key, 1, "me", 15).kind == "gone"
    bench.sessions.end(key, "timed_out")
    assert bench.refresh_lock.begin_refresh(key, 1, "me", 15).kind == "gone"


# ---------------------------------------------------------------- the tombstone


def test_the_tombstone_has_the_tokens_until_they_expire(bench: Bench) -> None:
    key = bench.start()
    bench.sessions.write_data(key, b"{}")
    bench.refresh_lock.begin_refresh(key, 1, "me", 15)
    bench.refresh_lock.end_refresh(key, "another", "provider_unavailable", 30)
    bench.records.end_record(key, "logout")
    name = tombstone_name(bench, key)
    least = bench.config.refresh_token_lifetime_seconds
    assert least <= seconds_left(bench, name) <= least + DAY
    fields = {field.decode() for field in bench.database.command("HGETALL", name)}
    assert {"tokens", "identity", "reason", "ended_at"} <= fields
    assert "data" not in fields, "data of the application stays there"
    assert [k for k in bench.stored() if ":lock:" in k or ":failure:" in k] == []


# ---------------------------------------------------------------- the indexes


def test_a_session_is_due_at_its_idle_end(bench: Bench) -> None:
    key = bench.start()
    assert deadline_of(bench, key) == bench.load(key).idle_ends_at


def test_the_sweep_updates_the_deadline_of_a_session_that_was_used(bench: Bench) -> None:
    key = bench.start()
    bench.indexes.set_deadline(key, bench.now() - 1)
    bench.sweep.run()
    assert deadline_of(bench, key) == bench.load(key).idle_ends_at


def test_the_sweep_removes_a_session_without_a_record(bench: Bench) -> None:
    bench.indexes.set_deadline("f" * 64, bench.now() - 1)
    assert bench.sweep.run() == 0
    assert deadline_of(bench, "f" * 64) is None


def test_an_index_expires_with_its_longest_session_and_drops_expired_ones(
    bench: Bench,
) -> None:
    key = bench.start()
    [name] = [k for k in bench.stored() if ":user:" in k]
    lasts = bench.config.session_absolute_seconds
    assert lasts - 5 <= seconds_left(bench, name) <= lasts + 1
    bench.database.command("ZADD", name, bench.now() - 1, "an expired session")
    shorter = msgspec.structs.replace(
        bench.load(key), key="e" * 64, absolute_ends_at=bench.now() + 60
    )
    bench.indexes.add(shorter)
    assert set(bench.indexes.members(Group.of_user(ISSUER, "auth0|dana"))) == {key, "e" * 64}
    assert seconds_left(bench, name) >= lasts - 5, "the longest one counts"


def test_the_same_subject_of_another_issuer_is_another_user(bench: Bench) -> None:
    bench.start()
    assert bench.indexes.members(Group.of_user("https://other.example/", "auth0|dana")) == []
    assert bench.indexes.members(Group.of_sid("https://other.example/", "provider-sid")) == []


# ---------------------------------------------------------------- the outbox and the deny-list


def entry(reason: str) -> Entry:
    return Entry(id="an-entry", kind="session", reason=reason, session_key="f" * 64)


def test_an_existing_intent_is_not_overwritten(bench: Bench) -> None:
    bench.outbox.add(entry("first"), due_in_seconds=60)
    bench.outbox.add(entry("second"), due_in_seconds=0)
    assert [e.reason for e in bench.outbox.waiting()] == ["first"]
    assert bench.outbox.claim_due(1, 10) == []


def test_a_confirmed_entry_is_not_written_again(bench: Bench) -> None:
    """A slow process may postpone an entry that another process has confirmed."""
    bench.outbox.add(entry("logout"), due_in_seconds=0)
    bench.outbox.done("an-entry")
    bench.outbox.reschedule(entry("logout"), 0, "provider_unavailable")
    bench.outbox.put_off(entry("logout"), 0)
    assert bench.stored() == []


def test_sealed_tokens_moved_to_another_entry_do_not_open(bench: Bench) -> None:
    sealed = bench.outbox.seal_tokens("mine", bench.sign_in().tokens)
    stolen = Entry(id="yours", kind="tokens", reason="x", sealed_tokens=sealed)
    with pytest.raises(SealInvalid):
        bench.outbox.open_tokens(stolen)


def test_a_token_listed_under_an_older_key_is_still_listed(make_bench: MakeBench) -> None:
    before = make_bench()
    before.sessions.end(before.start(), "logout")
    after = make_bench(AUTH0_SECRET=f"{'n' * 40},{SECRET}")
    assert after.deny_list.contains("access-0")


def test_too_few_replicas_are_logged_and_the_session_has_ended(
    make_bench: MakeBench, caplog: pytest.LogCaptureFixture
) -> None:
    """The test server has no replica; `WAIT` times out before the socket does."""
    bench = make_bench(BFF_REDIS_WAIT_REPLICAS="1", BFF_REDIS_TIMEOUT_SECONDS="4")
    key = bench.start()
    assert bench.sessions.end(key, "logout")
    assert bench.sessions.load(key) is None
    assert bench.provider.revoked == ["refresh-0"]
    assert "only 0 of 1 replicas have it" in caplog.text
