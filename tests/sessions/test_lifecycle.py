"""How does a session start, slide and expire, and what happens to it at the next sign-in?"""

from __future__ import annotations

import msgspec
import pytest

from bff.core.errors import SealInvalid, StoreUnavailable
from bff.core.model import Group
from bff.sessions.lifecycle import session_key
from tests.support.bench import SECRET, Bench, MakeBench

ISSUER = "https://provider.example/"


def test_an_id_that_was_never_issued_names_no_session(bench: Bench) -> None:
    assert session_key("A" * 42) is None
    assert session_key("A" * 43 + "\n") is None
    assert session_key("Ä" * 43) is None
    assert bench.sessions.load("0" * 64) is None


def test_a_started_session_has_the_tokens_and_claims_of_its_sign_in(bench: Bench) -> None:
    session = bench.load(bench.start())
    assert session.tokens.access_token == "access-0"
    assert session.identity.claims["name"] == "Dana Demo"
    assert session.generation == 1
    assert session.absolute_ends_at - session.created_at == bench.config.session_absolute_seconds


def test_two_sessions_never_share_an_id(bench: Bench) -> None:
    ids = {bench.sessions.start(bench.sign_in()) for _ in range(20)}
    assert len(ids) == 20
    assert all(len(i) == 43 for i in ids)


def test_a_session_ends_with_the_provider_s_session_at_the_latest(bench: Bench) -> None:
    ends_at = bench.now() + 120
    sign_in = bench.sign_in()
    key = session_key(
        bench.sessions.start(msgspec.structs.replace(sign_in, session_ends_at=ends_at))
    )
    assert bench.load(key or "").absolute_ends_at == ends_at


def test_loading_slides_the_idle_end_at_most_once_a_minute(bench: Bench) -> None:
    key = bench.start()
    first = bench.load(key)
    # Stored are whole seconds: a test that used up the last one would fail when the clock ticks.
    bench.database.command("HINCRBY", _record(bench, key), "last_seen_at", -50)
    bench.database.command("HINCRBY", _record(bench, key), "idle_ends_at", -50)
    assert bench.load(key).idle_ends_at == first.idle_ends_at - 50
    bench.database.command("HINCRBY", _record(bench, key), "last_seen_at", -10)
    assert bench.load(key).idle_ends_at >= first.idle_ends_at


def test_loading_without_slide_leaves_the_idle_end(bench: Bench) -> None:
    key = bench.start()
    bench.database.command("HINCRBY", _record(bench, key), "last_seen_at", -3600)
    first = bench.sessions.load(key, slide=False)
    second = bench.sessions.load(key, slide=False)
    assert first and second
    assert second[0].idle_ends_at == first[0].idle_ends_at
    assert second[0].last_seen_at == first[0].last_seen_at < bench.now() - 3000


def test_the_idle_end_never_passes_the_absolute_end(bench: Bench) -> None:
    key = bench.start()
    absolute = bench.now() + 100
    bench.database.command("HSET", _record(bench, key), "absolute_ends_at", absolute)
    bench.database.command("HINCRBY", _record(bench, key), "last_seen_at", -3600)
    assert bench.load(key).idle_ends_at == absolute


@pytest.mark.parametrize("field", ["idle_ends_at", "absolute_ends_at"])
def test_an_expired_session_is_not_found(bench: Bench, field: str) -> None:
    key = bench.start()
    bench.database.command("HSET", _record(bench, key), field, bench.now())
    assert bench.sessions.load(key) is None


def test_the_sweep_ends_an_expired_session_and_revokes_its_tokens(bench: Bench) -> None:
    key = bench.start()
    _expire(bench, key)
    assert bench.sweep.run() == 1
    bench.revocation.drain()
    assert bench.provider.revoked == ["refresh-0"]
    assert bench.deny_list.contains("access-0")
    assert _left_of(bench, key) == []


def test_the_sweep_moves_the_deadline_of_a_session_that_slid_meanwhile(bench: Bench) -> None:
    key = bench.start()
    bench.indexes.set_deadline(key, bench.now() - 1)
    assert bench.sweep.run() == 0
    assert bench.load(key)
    assert bench.indexes.claim_due(1, 10) == []


def test_a_sweep_that_was_killed_half_way_is_completed_by_the_next(bench: Bench) -> None:
    key = bench.start()
    _expire(bench, key)
    assert bench.indexes.claim_due(0.0, 10) == [key]
    assert bench.sweep.run() == 1


def test_a_rotation_of_the_sealing_keys_ends_no_session(make_bench: MakeBench) -> None:
    before = make_bench()
    key = before.start()
    after = make_bench(AUTH0_SECRET=f"{'n' * 40},{SECRET}")
    assert after.load(key).tokens.access_token == "access-0"
    assert after.indexes.members(Group.of_user(ISSUER, "auth0|dana")) == [key]
    assert after.sessions.end(key, "logout")
    assert after.provider.revoked == ["refresh-0"]
    assert before.deny_list.contains("access-0") is False
    assert after.deny_list.contains("access-0")


def test_without_its_key_a_record_can_t_be_opened_and_its_revocation_waits(
    make_bench: MakeBench,
) -> None:
    key = make_bench().start()
    other = make_bench(AUTH0_SECRET="o" * 40)
    with pytest.raises(SealInvalid):
        other.sessions.load(key)
    assert other.sessions.end(key, "logout")
    assert [(e.last_error, e.attempts) for e in other.outbox.waiting()] == [("seal_invalid", 1)]


def test_a_sealed_value_moved_to_another_session_does_not_open(bench: Bench) -> None:
    mine, yours = bench.start(), bench.start(subject="auth0|eve")
    stolen = bench.database.command("HGET", _record(bench, yours), "tokens")
    bench.database.command("HSET", _record(bench, mine), "tokens", stolen)
    with pytest.raises(SealInvalid):
        bench.sessions.load(mine)


def test_signing_in_again_ends_the_old_session_and_keeps_its_refresh_token(bench: Bench) -> None:
    old = bench.start()
    new = session_key(
        bench.sessions.start(bench.sign_in(refresh="refresh-new"), old_session_key=old)
    )
    assert bench.sessions.load(old) is None
    assert bench.provider.revoked == []
    assert bench.deny_list.contains("access-0")
    assert new
    assert bench.load(new).tokens.all_refresh_tokens() == ("refresh-new", "refresh-0")
    assert bench.outbox.waiting() == []
    bench.sessions.end(new, "logout")
    assert bench.provider.revoked == ["refresh-new", "refresh-0"]


def test_a_sign_in_that_failed_before_the_hand_over_leaves_the_old_session_intact(
    bench: Bench,
) -> None:
    """The browser never got the new cookie, so its old session must keep its refresh token."""
    old = bench.start()

    def refuse(*_: object, **__: object) -> bool:
        raise StoreUnavailable("just now")

    bench.revocation.end_into = refuse  # type: ignore[method-assign]
    with pytest.raises(StoreUnavailable):
        bench.sessions.start(bench.sign_in(refresh="refresh-new"), old_session_key=old)
    [orphan] = {s.key for s in bench.sessions.of_user(bench.load(old))} - {old}
    _expire(bench, orphan)
    assert bench.sweep.run() == 1
    bench.revocation.drain()
    assert bench.load(old).tokens.refresh_token == "refresh-0"
    assert "refresh-0" not in bench.provider.revoked


def test_signing_in_as_another_user_revokes_the_old_session(bench: Bench) -> None:
    old = bench.start()
    bench.sessions.start(
        bench.sign_in(subject="auth0|eve", refresh="refresh-eve"), old_session_key=old
    )
    assert bench.sessions.load(old) is None
    assert bench.provider.revoked == ["refresh-0"]


def test_a_rotation_during_a_new_sign_in_is_handed_over_too(bench: Bench) -> None:
    """The old session is refreshed between being read and being ended."""
    old, new = bench.start(), bench.start(refresh="refresh-new")
    session = bench.load(old)
    tokens = bench.merged(session, bench.provider.on_refresh(""))
    sealed = bench.records.seal_tokens(old, tokens)
    assert bench.records.replace_tokens(old, 1, "attempt", sealed) == "applied"
    assert bench.revocation.end_into(old, new)
    assert "refresh-0" in bench.load(new).tokens.all_refresh_tokens()
    assert bench.provider.revoked == []


def test_a_hand_over_to_a_session_that_is_gone_revokes(bench: Bench) -> None:
    old = bench.start()
    assert bench.revocation.end_into(old, "f" * 64)
    assert bench.provider.revoked == ["refresh-0"]


def test_a_user_s_sessions_are_found_and_no_others(bench: Bench) -> None:
    mine = {bench.start(), bench.start()}
    bench.start(subject="auth0|eve")
    session = bench.load(next(iter(mine)))
    assert {s.key for s in bench.sessions.of_user(session)} == mine
    assert set(bench.indexes.members(Group.of_sid(ISSUER, "provider-sid"))) > mine


def test_the_tokens_of_a_sign_in_that_can_t_be_stored_are_revoked(bench: Bench) -> None:
    def refuse(*_: object, **__: object) -> bool:
        raise StoreUnavailable("just now")

    bench.records.create = refuse  # type: ignore[method-assign]
    with pytest.raises(StoreUnavailable):
        bench.sessions.start(bench.sign_in())
    assert bench.provider.revoked == ["refresh-0"]


def test_the_idle_end_is_within_a_short_session_from_the_start(bench: Bench) -> None:
    ends_at = bench.now() + 120
    sign_in = msgspec.structs.replace(bench.sign_in(), session_ends_at=ends_at)
    session = bench.load(session_key(bench.sessions.start(sign_in)) or "")
    assert session.idle_ends_at == ends_at


def test_signing_in_with_another_provider_is_signing_in_as_another_user(bench: Bench) -> None:
    """Subjects are unique within their issuer only (OpenID Connect Core, 5.7)."""
    old, sign_in = bench.start(), bench.sign_in(refresh="refresh-new")
    identity = msgspec.structs.replace(sign_in.identity, issuer="https://other.example/")
    elsewhere = msgspec.structs.replace(sign_in, identity=identity)
    bench.sessions.start(elsewhere, old_session_key=old)
    assert bench.sessions.load(old) is None
    assert bench.provider.revoked == ["refresh-0"]


def test_an_old_session_that_can_t_be_opened_ends_at_a_sign_in_too(make_bench: MakeBench) -> None:
    old = make_bench().start()
    other = make_bench(AUTH0_SECRET="o" * 40)
    other.sessions.start(other.sign_in(), old_session_key=old)
    assert not other.database.command("EXISTS", _record(other, old))
    assert [e.last_error for e in other.outbox.waiting()] == ["seal_invalid"]


def test_a_session_is_in_the_index_before_it_exists(bench: Bench) -> None:
    """Otherwise "end all sessions of this user" could miss it (docs/architecture/ending.md)."""

    def refuse(*_: object, **__: object) -> int:
        raise StoreUnavailable("just now")

    bench.indexes.add = refuse  # type: ignore[method-assign]
    with pytest.raises(StoreUnavailable):
        bench.sessions.start(bench.sign_in())
    assert [k for k in bench.stored() if ":session:" in k] == []


def test_one_unreadable_session_does_not_hide_the_user_s_others(bench: Bench) -> None:
    mine, broken = bench.start(), bench.start()
    bench.database.command("HSET", _record(bench, broken), "tokens", b"rubbish")
    assert [s.key for s in bench.sessions.of_user(bench.load(mine))] == [mine]


def test_a_public_id_from_before_a_key_rotation_is_still_valid(make_bench: MakeBench) -> None:
    before = make_bench()
    session = before.load(before.start())
    after = make_bench(AUTH0_SECRET=f"{'n' * 40},{SECRET}")
    shown = before.sessions.public_id(session)
    assert shown in after.sessions.public_ids(session)
    assert after.sessions.public_id(session) != shown
    assert session.key[:32] != shown


def _record(bench: Bench, key: str) -> str:
    return bench.database.keys.session(key)


def _expire(bench: Bench, key: str) -> None:
    bench.database.command("HSET", _record(bench, key), "idle_ends_at", bench.now() - 1)
    bench.indexes.set_deadline(key, bench.now() - 1)


def _left_of(bench: Bench, key: str) -> list[str]:
    """Keys that still name the session, or belong to the outbox."""
    return [k for k in bench.stored() if key in k or "outbox" in k or ":user:" in k]
