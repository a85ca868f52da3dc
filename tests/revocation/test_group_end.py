"""How does a group of sessions end, so that no older sign-in outlives it (promise 6)?"""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace

import msgspec
import pytest

from bff.core.errors import ProviderUnavailable, SignInTooOld
from bff.core.model import Group, Identity, SignIn
from bff.sessions.lifecycle import session_key
from bff.store import watermarks
from tests.revocation.test_end import due_now
from tests.support.bench import Bench, MakeBench

ISSUER = "https://provider.example/"
DANA = Group.of_user(ISSUER, "auth0|dana")


def authenticated_at(bench: Bench, auth_time: int | None, **changes: object) -> SignIn:
    sign_in = bench.sign_in()
    identity = msgspec.structs.replace(sign_in.identity, auth_time=auth_time, **changes)
    return msgspec.structs.replace(sign_in, identity=identity)


@pytest.mark.parametrize(
    ("group", "theirs"),
    [
        (DANA, 0),
        (Group.of_email(ISSUER, "Dana@Example.com "), 0),
        (Group.of_sid(ISSUER, "provider-sid"), 1),
        (Group.everyone(), 1),
    ],
    ids=["user", "email", "sid", "everyone"],
)
def test_all_sessions_of_a_group_end_and_no_other(bench: Bench, group: Group, theirs: int) -> None:
    mine = [bench.start() for _ in range(3)]
    other = _start(bench, _eve(bench))
    assert bench.revocation.end_group(group, "admin") == 3 + theirs
    assert all(bench.sessions.load(key) is None for key in mine)
    assert (bench.sessions.load(other) is None) == bool(theirs)
    assert bench.deny_list.contains("access-0")
    bench.revocation.drain()
    assert len(bench.provider.revoked) == 3 + theirs
    assert not [k for k in bench.stored() if ":tombstone:" in k or ":entry:" in k]


def _eve(bench: Bench) -> SignIn:
    claims = {"sub": "auth0|eve", "email": "eve@example.com"}
    return authenticated_at(bench, None, subject="auth0|eve", claims=claims)


def _start(bench: Bench, sign_in: SignIn) -> str:
    key = session_key(bench.sessions.start(sign_in))
    assert key
    return key


@pytest.mark.parametrize("group", [DANA, Group.everyone()], ids=["user", "everyone"])
def test_an_end_does_not_wait_for_a_clock_that_was_set_back(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, group: Group
) -> None:
    key = bench.start()
    bench.watermarks.rise(group)
    [name] = [one for one in bench.stored() if ":watermark:" in one]
    bench.database.command("SET", name, int(bench.now()) + 3_600)
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        assert seconds <= 1, "as long as the clock went back"
        real_sleep(seconds)

    real_sleep = time.sleep
    monkeypatch.setattr(watermarks, "time", SimpleNamespace(monotonic=time.monotonic, sleep=sleep))
    assert bench.revocation.end_group(group, "admin") == 1
    assert bench.sessions.load(key) is None
    assert sum(slept) <= 1.1


def test_the_provider_is_not_asked_before_the_response(bench: Bench) -> None:
    def down(_: str) -> None:
        raise AssertionError("asked while the caller waits")

    bench.provider.on_revoke = down
    bench.start()
    assert bench.revocation.end_group(DANA, "admin") == 1


@pytest.mark.parametrize("auth_time", [None, -3600, -1], ids=["missing", "old", "just before"])
def test_promise_6_a_sign_in_from_before_is_refused_and_its_token_revoked(
    bench: Bench, auth_time: int | None
) -> None:
    watermark_at = bench.watermarks.rise(DANA)
    when = None if auth_time is None else watermark_at + auth_time
    with pytest.raises(SignInTooOld):
        bench.sessions.start(authenticated_at(bench, when))
    assert bench.provider.revoked == ["refresh-0"]
    assert not [k for k in bench.stored() if ":session:" in k]
    assert bench.indexes.members(DANA) == []


def test_promise_6_a_new_sign_in_is_accepted_even_in_the_same_second(bench: Bench) -> None:
    bench.revocation.end_group(DANA, "admin")
    # The end has waited for the next whole second, so `auth_time` can't be older.
    assert bench.load(_start(bench, authenticated_at(bench, bench.now())))


def test_promise_6_a_sign_in_by_a_slow_clock_is_accepted_if_it_was_requested_after(
    bench: Bench,
) -> None:
    watermark_at = bench.watermarks.rise(DANA)
    skew = bench.config.clock_skew_seconds
    lagging = authenticated_at(bench, watermark_at - 5)
    with pytest.raises(SignInTooOld):
        bench.sessions.start(lagging, authenticated_after=watermark_at + skew - 1)
    assert bench.sessions.start(lagging, authenticated_after=watermark_at + skew)


def test_promise_6_a_prompt_counts_after_the_end_that_was_over_when_it_was_asked(
    bench: Bench,
) -> None:
    bench.revocation.end_group(DANA, "admin")
    with pytest.raises(SignInTooOld) as refused:
        bench.sessions.start(authenticated_at(bench, None))
    known_at = refused.value.watermark_at
    prompted = authenticated_at(bench, None, prompted_at=bench.now())
    assert bench.sessions.start(prompted, known_watermark_at=known_at)
    # Without the prompt it proves nothing, and a later end is none of those that were over.
    with pytest.raises(SignInTooOld):
        bench.sessions.start(authenticated_at(bench, None), known_watermark_at=known_at)
    [name] = [key for key in bench.stored() if ":watermark:" in key]
    bench.database.command("SET", name, bench.now() + 60)
    with pytest.raises(SignInTooOld) as refused:
        bench.sessions.start(prompted, known_watermark_at=known_at)
    assert refused.value.watermark_at == 0, "another end may still come in that second"


def test_promise_6_everyone_includes_users_without_a_session(bench: Bench) -> None:
    bench.revocation.end_group(Group.everyone(), "admin")
    with pytest.raises(SignInTooOld):
        bench.sessions.start(authenticated_at(bench, bench.now() - 10))


def test_promise_6_a_sign_in_by_an_ended_provider_session_is_refused(bench: Bench) -> None:
    """A back-channel logout that arrives between the code and the session."""
    bench.revocation.end_group(Group.of_sid(ISSUER, "provider-sid"), "backchannel")
    with pytest.raises(SignInTooOld):
        bench.sessions.start(authenticated_at(bench, bench.now() - 10))
    other = authenticated_at(bench, bench.now() - 10, sid="another-sid")
    assert bench.sessions.start(other)


def test_promise_6_an_end_between_index_and_record_blocks_the_record(bench: Bench) -> None:
    real: Callable[..., int | None] = bench.watermarks.newest

    def ended_just_after(identity: Identity) -> int | None:
        seen = real(identity)
        assert bench.revocation.end_group(DANA, "admin") == 0
        return seen

    bench.watermarks.newest = ended_just_after  # type: ignore[method-assign]
    with pytest.raises(SignInTooOld):
        bench.sessions.start(authenticated_at(bench, bench.now() - 10))
    assert not [k for k in bench.stored() if ":session:" in k]
    assert bench.provider.revoked == ["refresh-0"]


def test_promise_6_a_sign_in_after_the_index_was_read_finds_the_watermark(bench: Bench) -> None:
    real: Callable[[Group], list[str]] = bench.indexes.members

    def too_late(group: Group) -> list[str]:
        found = real(group)
        if group != DANA:
            return found
        with pytest.raises(SignInTooOld):
            bench.sessions.start(authenticated_at(bench, bench.now() - 10))
        return found

    bench.indexes.members = too_late  # type: ignore[method-assign]
    assert bench.revocation.end_group(DANA, "admin") == 0
    assert not [k for k in bench.stored() if ":session:" in k]


def test_a_watermark_only_rises_and_outlasts_sessions(bench: Bench) -> None:
    first = bench.watermarks.rise(DANA)
    assert bench.watermarks.rise(DANA) >= first
    [name] = [k for k in bench.stored() if ":watermark:" in k]
    left_seconds = bench.database.command("TTL", name)
    assert left_seconds > bench.config.session_absolute_seconds
    assert "dana" not in name


@pytest.mark.parametrize(
    ("group", "days"),
    [
        (DANA, 366),
        (Group.of_email(ISSUER, "dana@example.com"), 366),
        (Group.everyone(), 366),
        (Group.of_sid(ISSUER, "provider-sid"), 7),
    ],
    ids=["user", "email", "everyone", "sid"],
)
def test_only_what_there_are_few_of_is_kept_for_long(bench: Bench, group: Group, days: int) -> None:
    """Each logout at the provider leaves a watermark of its own; users and addresses are few."""
    bench.watermarks.rise(group)
    [name] = [k for k in bench.stored() if ":watermark:" in k]
    left_seconds = bench.database.command("TTL", name)
    assert days * 86_400 - 60 < left_seconds <= days * 86_400


@pytest.mark.parametrize(
    ("settings", "days"),
    [
        ({"BFF_SESSION_IDLE_SECONDS": "60", "BFF_SESSION_ABSOLUTE_SECONDS": "60"}, 1),
        ({"BFF_WATERMARK_LIFETIME_SECONDS": "172800"}, 2),
    ],
    ids=["longer than a sign-in", "no longer than the others"],
)
def test_the_watermark_of_a_provider_session_has_bounds(
    make_bench: MakeBench, settings: dict[str, str], days: int
) -> None:
    bench = make_bench(**settings)
    bench.watermarks.rise(Group.of_sid(ISSUER, "provider-sid"))
    [name] = [k for k in bench.stored() if ":watermark:" in k]
    assert days * 86_400 - 60 < bench.database.command("TTL", name) <= days * 86_400


def test_watermarks_survive_a_rotation_of_the_keys(make_bench: MakeBench) -> None:
    before = make_bench()
    before.revocation.end_group(DANA, "admin")
    after = make_bench(AUTH0_SECRET=f"{'n' * 40},{'s' * 40}")
    with pytest.raises(SignInTooOld):
        after.sessions.start(authenticated_at(after, after.now() - 10))


def test_an_end_of_all_while_the_provider_is_down_waits_in_the_outbox(bench: Bench) -> None:
    def down(_: str) -> None:
        raise ProviderUnavailable("503")

    bench.provider.on_revoke = down
    keys = [bench.start() for _ in range(2)]
    assert bench.revocation.end_group(DANA, "admin") == 2
    assert bench.revocation.drain() == 0
    assert {e.session_key for e in bench.outbox.waiting()} == set(keys)
    bench.provider.on_revoke = lambda _: None
    due_now(bench)
    assert bench.revocation.drain() == 2


# ------------------------------------------------------------------ events that are reported late


@pytest.mark.parametrize(
    ("created", "authenticated", "ends"),
    [
        (-100, None, True),
        (-100, -100, True),
        (-1, None, True),
        (5, None, True),
        (5, -100, True),
        (5, 0, True),
        (5, 1, False),
        (-5, 1, False),
        (11, None, False),
        (11, -100, False),
    ],
)
def test_an_event_ends_only_sessions_from_before_it(
    bench: Bench, created: int, authenticated: int | None, ends: bool
) -> None:
    """All numbers are seconds after the event; the allowed skew is 10."""
    happened_at = bench.now() - 60
    auth_time = None if authenticated is None else happened_at + authenticated
    key = _start(bench, authenticated_at(bench, auth_time))
    record = bench.database.keys.session(key)
    bench.database.command("HSET", record, "created_at", happened_at + created)
    assert bench.revocation.end_group(DANA, "event", before_at=happened_at) == ends
    assert (bench.sessions.load(key) is None) == ends
    assert bool(bench.outbox.waiting()) == ends


def test_the_watermark_of_an_event_is_the_events_own_instant(bench: Bench) -> None:
    happened_at = bench.now() - 60.25
    assert bench.watermarks.rise(DANA, happened_at) == int(happened_at) + 1
    with pytest.raises(SignInTooOld):
        bench.sessions.start(authenticated_at(bench, int(happened_at)))
    assert bench.sessions.start(authenticated_at(bench, int(happened_at) + 1))


def test_an_event_never_lowers_the_watermark_nor_puts_it_ahead(bench: Bench) -> None:
    ahead = bench.watermarks.rise(DANA, bench.now() + 86_400)
    assert ahead <= bench.now() + 1
    assert bench.watermarks.rise(DANA, bench.now() - 60) == ahead


def test_an_event_blocks_a_sign_in_that_is_not_written_yet(bench: Bench) -> None:
    real: Callable[..., int | None] = bench.watermarks.newest

    def ended_just_after(identity: Identity) -> int | None:
        seen = real(identity)
        bench.revocation.end_group(DANA, "event", before_at=bench.now())
        return seen

    bench.watermarks.newest = ended_just_after  # type: ignore[method-assign]
    with pytest.raises(SignInTooOld):
        bench.sessions.start(authenticated_at(bench, bench.now() - 10))
    assert not [k for k in bench.stored() if ":session:" in k]
