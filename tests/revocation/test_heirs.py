"""Does a refresh token stay unrevoked while a session of the same provider session lives?

At Keycloak the revocation of one ends the provider's session for the whole client.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from bff.core.errors import BFFError, ProviderUnavailable, StoreUnavailable
from bff.core.model import Group, IssuedTokens, Tokens
from bff.revocation import heirs
from bff.sessions.lifecycle import session_key
from tests.revocation.test_end import due_now, failing
from tests.revocation.test_group_end import authenticated_at
from tests.revocation.test_intents import kill, killed_before_the_tombstone
from tests.support.bench import Bench, MakeBench, token_response

DANA = Group.of_user("https://provider.example/", "auth0|dana")
NEW, OLD = "refresh-new", "refresh-old"


def refresh_tokens(bench: Bench, key: str) -> tuple[str, ...]:
    return bench.load(key).tokens.all_refresh_tokens()


def timed_out(bench: Bench, key: str) -> None:
    expired(bench, key)
    assert bench.sweep.run() == 1
    bench.revocation.drain()


def by_the_administrator(bench: Bench, key: str) -> None:
    public_id = bench.sessions.public_id(bench.load(key))
    assert bench.sessions.end_named(DANA, public_id, "admin") == 1


def among_other_devices(bench: Bench, key: str) -> None:
    assert bench.sessions.end_these([key], "ended_by_user") == 1
    bench.revocation.drain()


def refused(bench: Bench, key: str) -> None:
    assert bench.revocation.end(key, "refresh_refused", generation=bench.load(key).generation)


def signed_in_as_another(bench: Bench, key: str) -> None:
    bench.sessions.start(bench.sign_in(subject="auth0|eve", sid="eve"), old_session_key=key)


ENDS = [timed_out, by_the_administrator, among_other_devices, refused, signed_in_as_another]


@pytest.mark.parametrize("end", ENDS, ids=lambda end: str(end.__name__))
def test_a_live_session_of_the_same_provider_session_takes_it_over(
    bench: Bench, end: Callable[[Bench, str], None]
) -> None:
    old, new = bench.start(refresh=OLD), bench.start(refresh=NEW)
    end(bench, old)
    assert bench.sessions.load(old) is None
    assert bench.deny_list.contains("access-0")
    assert bench.provider.revoked == []
    assert refresh_tokens(bench, new) == (NEW, OLD)
    assert bench.outbox.waiting() == []
    bench.sessions.end(new, "logout")
    assert bench.provider.revoked == [NEW, OLD]


@pytest.mark.parametrize(
    "other",
    [{"sid": "another"}, {"sid": None}, {"subject": "auth0|eve"}],
    ids=["of another provider session", "of none", "of another user"],
)
def test_no_other_session_takes_it_over(bench: Bench, other: dict[str, str | None]) -> None:
    old = bench.start(refresh=OLD)
    new = bench.start(refresh=NEW, **other)
    timed_out(bench, old)
    assert bench.provider.revoked == [OLD]
    assert refresh_tokens(bench, new) == (NEW,)


@pytest.mark.parametrize("reason", sorted(heirs.SIGN_OUTS))
def test_a_logout_revokes_although_a_forgotten_session_lives(bench: Bench, reason: str) -> None:
    forgotten, current = bench.start(refresh=OLD), bench.start(refresh=NEW)
    bench.sessions.end(current, reason)
    assert bench.provider.revoked == [NEW]
    assert refresh_tokens(bench, forgotten) == (OLD,)


def test_a_logout_that_waits_for_the_provider_spares_a_later_sign_in(bench: Bench) -> None:
    bench.provider.on_revoke = failing(ProviderUnavailable("503"))
    forgotten, current = bench.start(refresh="refresh-0"), bench.start(refresh=OLD)
    bench.sessions.end(current, "logout")
    bench.provider.on_revoke = lambda _: None
    new = bench.start(refresh=NEW)
    due_now(bench)
    assert bench.revocation.drain() == 1
    assert refresh_tokens(bench, new) == (NEW, OLD)
    assert refresh_tokens(bench, forgotten) == ("refresh-0",)
    assert bench.provider.revoked == []


def test_an_end_of_all_that_waits_spares_a_later_sign_in(bench: Bench) -> None:
    bench.provider.on_revoke = failing(ProviderUnavailable("503"))
    olds = [bench.start(refresh=f"refresh-{n}") for n in range(2)]
    assert bench.revocation.end_group(DANA, "admin") == len(olds)
    bench.provider.on_revoke = lambda _: None
    sign_in = authenticated_at(bench, bench.now())
    tokens = msgspec.structs.replace(sign_in.tokens, refresh_token=NEW)
    new = session_key(bench.sessions.start(msgspec.structs.replace(sign_in, tokens=tokens)))
    assert new
    due_now(bench)
    bench.revocation.drain()
    assert set(refresh_tokens(bench, new)) == {NEW, "refresh-0", "refresh-1"}
    assert bench.outbox.waiting() == []


def test_promise_3_an_end_of_all_leaves_nothing_unrevoked(bench: Bench) -> None:
    for number in range(3):
        bench.start(refresh=f"refresh-{number}")
    assert bench.revocation.end_group(DANA, "admin") == 3
    bench.revocation.drain()
    assert sorted(bench.provider.revoked) == ["refresh-0", "refresh-1", "refresh-2"]


def test_two_that_expire_together_are_revoked(bench: Bench) -> None:
    for key in [bench.start(refresh=OLD), bench.start(refresh=NEW)]:
        expired(bench, key)
    assert bench.sweep.run() == 2
    bench.revocation.drain()
    assert sorted(bench.provider.revoked) == [NEW, OLD]


# ---------------------------------------------------------------- tokens that belong to no session
def test_the_tokens_of_a_sign_in_that_could_not_be_stored(bench: Bench) -> None:
    new, real = bench.start(refresh=NEW), bench.records.create
    bench.records.create = _away  # type: ignore[method-assign,assignment]
    with pytest.raises(StoreUnavailable):
        bench.start(refresh=OLD)
    bench.records.create = real  # type: ignore[method-assign]
    assert bench.provider.revoked == []
    assert refresh_tokens(bench, new) == (NEW, OLD)


def test_a_refresh_that_returns_after_its_session_was_replaced(bench: Bench) -> None:
    old = bench.start(refresh=OLD, access_seconds=-1)
    new: list[str] = []

    def replaced_meanwhile(_: str) -> IssuedTokens:
        new.append(bench.start(refresh=NEW))
        bench.revocation.end_into(old, new[0])
        return token_response(1, now=bench.now())

    bench.provider.on_refresh = replaced_meanwhile
    with pytest.raises(BFFError):
        bench.access_token(bench.load(old))
    assert bench.provider.revoked == []
    assert set(refresh_tokens(bench, new[0])) == {NEW, OLD, "refresh-1"}


def test_the_token_of_a_route_client_is_revoked_as_that_client(bench: Bench) -> None:
    """No session holds tokens of two clients."""
    new = bench.start(refresh=NEW)
    tokens = Tokens.without_session(refresh_token=OLD, client_id="orders")
    owned = tokens.owned_by(bench.load(new).identity)
    bench.revocation.revoke_tokens(owned, "answer_refused")
    assert bench.provider.revoked == [OLD]


# ---------------------------------------------------------------- crashes and races
@pytest.mark.parametrize(
    "step",
    ["records.end_record", "deny_list.add", "indexes.members", "records.keep_refresh_tokens",
     "records.replace_tokens", "indexes.remove", "records.delete_tombstone", "outbox.done"],
)  # fmt: skip
@pytest.mark.parametrize("applied", [False, True], ids=["before", "after"])
def test_promise_3_a_kill_at_any_step_is_completed_by_another_process(
    make_bench: MakeBench, step: str, applied: bool
) -> None:
    crashing, other = make_bench(), make_bench()
    old, new = crashing.start(refresh=OLD), crashing.start(refresh=NEW)
    part, name = step.split(".")
    real = getattr(getattr(crashing, part), name)

    def die(*arguments: object, **options: object) -> None:
        if applied:
            real(*arguments, **options)
        kill()

    setattr(getattr(crashing, part), name, die)
    with pytest.raises(BaseException, match="^$"):
        crashing.revocation.end(old, "timed_out")
    due_now(other)
    other.revocation.drain()
    assert other.sessions.load(old) is None
    assert refresh_tokens(other, new) == (NEW, OLD)
    assert crashing.provider.revoked + other.provider.revoked == []
    assert other.outbox.waiting() == []


def test_an_end_that_was_never_begun_is_still_a_logout(make_bench: MakeBench) -> None:
    crashing, other = make_bench(), make_bench()
    forgotten, current = crashing.start(refresh=OLD), crashing.start(refresh=NEW)
    killed_before_the_tombstone(crashing, lambda: crashing.sessions.end(current, "logout"))
    due_now(other)
    other.revocation.drain()
    assert other.provider.revoked == [NEW]
    assert refresh_tokens(other, forgotten) == (OLD,)


def test_a_session_that_is_replaced_meanwhile_leads_to_its_successor(make_bench: MakeBench) -> None:
    here, there = make_bench(), make_bench()
    old, between = here.start(refresh=OLD), here.start(refresh="refresh-between")
    real, new = here.indexes.members, list[str]()

    def replaced_after_this(group: Group) -> list[str]:
        found = real(group)
        if not new:
            new.append(there.start(refresh=NEW))
            there.revocation.end_into(between, new[0])
        return found

    here.indexes.members = replaced_after_this  # type: ignore[method-assign]
    here.revocation.end(old, "timed_out")
    assert here.provider.revoked == []
    assert set(refresh_tokens(here, new[0])) == {NEW, "refresh-between", OLD}


def test_a_session_that_ends_meanwhile_revokes_all_or_takes_nothing(make_bench: MakeBench) -> None:
    here, there = make_bench(), make_bench()
    old, new = here.start(refresh=OLD), here.start(refresh=NEW)
    real = here.records.replace_tokens

    def ended_before_this(*arguments: str) -> str:
        there.sessions.end(new, "logout")
        return real(*arguments)  # type: ignore[arg-type]

    here.records.replace_tokens = ended_before_this  # type: ignore[method-assign,assignment]
    here.revocation.end(old, "timed_out")
    assert there.provider.revoked == [NEW]
    assert here.provider.revoked == [OLD]


# ---------------------------------------------------------------- many
def test_a_session_holds_a_bounded_number(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heirs, "KEPT_MAX", 2)
    olds = [bench.start(refresh=f"refresh-{n}") for n in range(3)]
    new = bench.start(refresh=NEW)
    for old in olds:
        expired(bench, old)
    for old in olds:
        bench.revocation.end(old, "timed_out")
    assert refresh_tokens(bench, new) == (NEW, "refresh-0", "refresh-1")
    assert bench.provider.revoked == ["refresh-2"]


def test_what_a_logout_has_no_time_to_revoke_follows_without_a_repetition(bench: Bench) -> None:
    key = bench.start(refresh=NEW)
    bench.records.keep_refresh_tokens(key, ("refresh-1", "refresh-2"))
    now = [0.0]
    bench.revocation._steps._clock = lambda: now[0]

    def slowly(_: str) -> None:
        now[0] += bench.config.provider_timeout_seconds

    bench.provider.on_revoke = slowly
    bench.sessions.end(key, "logout")
    assert bench.provider.revoked == [NEW]
    for _ in range(2):
        bench.revocation.drain()
    assert bench.provider.revoked == [NEW, "refresh-1", "refresh-2"]
    assert bench.outbox.waiting() == []


def expired(bench: Bench, key: str) -> None:
    """Let the session's time run out."""
    now = bench.now()
    bench.database.command("HSET", bench.database.keys.session(key), "idle_ends_at", now - 1)
    bench.indexes.set_deadline(key, now - 1)


def _away(*_: object) -> None:
    raise StoreUnavailable("away")
