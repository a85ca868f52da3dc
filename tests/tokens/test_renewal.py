"""What happens when a refresh fails, and which process may spend the refresh token."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from bff.core.errors import (
    BFFError,
    IDTokenInvalid,
    ProviderMisconfigured,
    ProviderRejected,
    ProviderUnavailable,
    SessionEnded,
    StoreUnavailable,
)
from bff.core.model import IssuedTokens, Session
from tests.support.bench import Bench, MakeBench, answer

DEAD = {"access_seconds": -1}
ENDING = {"access_seconds": 30}
FRESH = {"access_seconds": 200}


def raising(error: BFFError) -> Callable[[str], IssuedTokens]:
    def raise_it(_: str) -> IssuedTokens:
        raise error

    return raise_it


def fresh_answer(bench: Bench) -> Callable[[str], IssuedTokens]:
    return lambda _: answer(len(bench.provider.refreshed), now=bench.now())


def test_a_token_with_time_left_is_not_refreshed(bench: Bench) -> None:
    session = bench.load(bench.start(**FRESH))
    assert bench.access_token(session) == "access-0"
    assert bench.provider.refreshed == []


def test_the_window_is_never_more_than_a_fifth_of_the_token_s_life(bench: Bench) -> None:
    """A token of 100 seconds with 30 left is outside its window of 20, though 30 < 60."""
    session = bench.load(bench.start(**ENDING))
    tokens = msgspec.structs.replace(session.tokens, issued_at=session.tokens.expires_at - 100)
    session = msgspec.structs.replace(session, tokens=tokens)
    assert bench.access_token(session) == "access-0"
    assert bench.provider.refreshed == []


@pytest.mark.parametrize("left", [ENDING, DEAD], ids=["ending", "dead"])
def test_a_token_that_ends_is_refreshed_and_kept(bench: Bench, left: dict[str, int]) -> None:
    bench.provider.on_refresh = fresh_answer(bench)
    key = bench.start(**left)
    assert bench.access_token(bench.load(key)) == "access-1"
    session = bench.load(key)
    assert (session.tokens.refresh_token, session.generation) == ("refresh-1", 2)
    assert bench.access_token(session) == "access-1"
    assert bench.provider.refreshed == ["refresh-0"]


def test_a_provider_that_does_not_rotate_leaves_the_refresh_token(bench: Bench) -> None:
    bench.provider.on_refresh = lambda _: msgspec.structs.replace(
        answer(1, now=bench.now()), refresh_token=None
    )
    key = bench.start(**DEAD)
    bench.access_token(bench.load(key))
    assert bench.load(key).tokens.refresh_token == "refresh-0"


def test_a_request_with_an_old_view_uses_what_another_has_refreshed(bench: Bench) -> None:
    bench.provider.on_refresh = fresh_answer(bench)
    key = bench.start(**DEAD)
    before = bench.load(key)
    bench.access_token(bench.load(key))
    assert bench.access_token(before) == "access-1"
    assert bench.provider.refreshed == ["refresh-0"]


def test_invalid_grant_ends_the_session(bench: Bench) -> None:
    bench.provider.on_refresh = raising(ProviderRejected("invalid_grant", 403))
    key = bench.start(**DEAD)
    with pytest.raises(SessionEnded):
        bench.access_token(bench.load(key))
    assert bench.sessions.load(key) is None
    assert bench.provider.revoked == ["refresh-0"]


def test_invalid_grant_while_the_old_token_lives_ends_the_session_too(bench: Bench) -> None:
    bench.provider.on_refresh = raising(ProviderRejected("invalid_grant", 403))
    key = bench.start(**ENDING)
    with pytest.raises(SessionEnded):
        bench.access_token(bench.load(key))
    assert bench.sessions.load(key) is None


def test_invalid_grant_for_a_generation_that_was_replaced_uses_the_newer(bench: Bench) -> None:
    """The lease ran out, another process refreshed; what was refused is not what is current."""
    key = bench.start(**DEAD)

    def replaced_meanwhile(_: str) -> IssuedTokens:
        _replace(bench, bench.load(key), answer(7, now=bench.now()))
        raise ProviderRejected("invalid_grant", 403)

    bench.provider.on_refresh = replaced_meanwhile
    assert bench.access_token(bench.load(key)) == "access-7"
    assert bench.provider.revoked == []


def test_an_id_token_of_another_user_ends_the_session(bench: Bench) -> None:
    bench.provider.on_refresh = raising(IDTokenInvalid("sub differs"))
    key = bench.start(**DEAD)
    with pytest.raises(SessionEnded):
        bench.access_token(bench.load(key))
    assert bench.sessions.load(key) is None


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ProviderUnavailable("503"), ProviderUnavailable),
        (ProviderMisconfigured("invalid_client"), ProviderMisconfigured),
        (ProviderRejected("temporarily_odd", 400), ProviderRejected),
    ],
    ids=["unavailable", "invalid_client", "other_error"],
)
def test_a_failure_of_the_provider_keeps_the_session(
    bench: Bench, error: BFFError, expected: type[BFFError]
) -> None:
    bench.provider.on_refresh = raising(error)
    key = bench.start(**DEAD)
    with pytest.raises(expected):
        bench.access_token(bench.load(key))
    assert bench.load(key).tokens.refresh_token == "refresh-0"
    assert bench.provider.revoked == []


@pytest.mark.parametrize(
    "error",
    [ProviderUnavailable("503"), ProviderMisconfigured("invalid_client")],
    ids=["unavailable", "invalid_client"],
)
def test_while_the_old_token_lives_a_failure_is_not_felt(bench: Bench, error: BFFError) -> None:
    bench.provider.on_refresh = raising(error)
    assert bench.access_token(bench.load(bench.start(**ENDING))) == "access-0"


def test_a_failure_is_remembered_so_that_a_storm_stays_here(bench: Bench) -> None:
    bench.provider.on_refresh = raising(ProviderUnavailable("503"))
    session = bench.load(bench.start(**DEAD))
    for _ in range(5):
        with pytest.raises(ProviderUnavailable):
            bench.access_token(session)
    assert bench.provider.refreshed == ["refresh-0"]


def test_a_remembered_failure_keeps_its_kind(bench: Bench) -> None:
    bench.provider.on_refresh = raising(ProviderMisconfigured("invalid_client"))
    session = bench.load(bench.start(**DEAD))
    for _ in range(2):
        with pytest.raises(ProviderMisconfigured):
            bench.access_token(session)


def test_no_answer_is_retried_once_with_the_same_token(bench: Bench) -> None:
    """The rotation may have happened; within the overlap the same token works once more."""

    def first_lost(_: str) -> IssuedTokens:
        if len(bench.provider.refreshed) == 1:
            raise ProviderUnavailable("timeout", maybe_acted=True)
        return answer(2, now=bench.now())

    bench.provider.on_refresh = first_lost
    key = bench.start(**DEAD)
    assert bench.access_token(bench.load(key)) == "access-2"
    assert bench.provider.refreshed == ["refresh-0", "refresh-0"]


def test_an_answer_of_5xx_is_not_retried(bench: Bench) -> None:
    bench.provider.on_refresh = raising(ProviderUnavailable("502", maybe_acted=False))
    with pytest.raises(ProviderUnavailable):
        bench.access_token(bench.load(bench.start(**DEAD)))
    assert len(bench.provider.refreshed) == 1


def test_no_retry_without_the_lock(bench: Bench) -> None:
    """After a stall beyond the lease another process may be spending the token."""
    key = bench.start(**DEAD)

    def lost_lock(_: str) -> IssuedTokens:
        bench.database.command("SET", bench.database.keys.lock(key), "somebody else")
        raise ProviderUnavailable("timeout", maybe_acted=True)

    bench.provider.on_refresh = lost_lock
    with pytest.raises(ProviderUnavailable):
        bench.access_token(bench.load(key))
    assert len(bench.provider.refreshed) == 1
    lock = bench.database.command("GET", bench.database.keys.lock(key))
    assert lock == b"somebody else", "a lock is given back only by its owner"


def test_without_a_refresh_token_a_dead_access_token_ends_the_session(bench: Bench) -> None:
    key = bench.start(**DEAD)
    session = bench.load(key)
    tokens = msgspec.structs.replace(session.tokens, refresh_token=None)
    with pytest.raises(SessionEnded):
        bench.access_token(msgspec.structs.replace(session, tokens=tokens))
    assert bench.sessions.load(key) is None


def test_promise_4_a_refresh_token_is_spent_once_by_many_threads_and_processes(
    make_bench: MakeBench,
) -> None:
    benches = [make_bench() for _ in range(3)]
    asked: list[str] = []
    for bench in benches:

        def refresh(token: str, bench: Bench = bench) -> IssuedTokens:
            asked.append(token)
            return answer(len(asked), now=bench.now())

        bench.provider.on_refresh = refresh
    session = benches[0].load(benches[0].start(**DEAD))
    go = threading.Barrier(30)

    def ask(bench: Bench) -> str:
        go.wait()
        return bench.access_token(session)

    with ThreadPoolExecutor(30) as pool:
        tokens = list(pool.map(ask, benches * 10))
    assert asked == ["refresh-0"]
    assert set(tokens) == {"access-1"}


def test_a_logout_during_a_refresh_wins_and_the_new_token_is_revoked(bench: Bench) -> None:
    """Promises 2 and 3: nothing is revived, and what was minted too late dies too."""
    key = bench.start(**DEAD)

    def logout_meanwhile(_: str) -> IssuedTokens:
        assert bench.sessions.end(key, "logout")
        return answer(1, now=bench.now())

    bench.provider.on_refresh = logout_meanwhile
    with pytest.raises(SessionEnded):
        bench.access_token(bench.load(key))
    assert bench.sessions.load(key) is None
    assert bench.provider.revoked == ["refresh-0", "refresh-1"]
    assert bench.deny_list.contains("access-0")
    assert bench.deny_list.contains("access-1")


def test_the_replaced_access_token_dies_with_the_session(bench: Bench) -> None:
    bench.provider.on_refresh = fresh_answer(bench)
    key = bench.start(**ENDING)
    bench.access_token(bench.load(key))
    assert bench.sessions.end(key, "logout")
    assert bench.deny_list.contains("access-0"), "replaced a moment ago, and still alive"
    assert bench.deny_list.contains("access-1")
    assert not bench.deny_list.contains("access-2")


def test_a_write_whose_answer_was_lost_is_recognised(bench: Bench) -> None:
    bench.provider.on_refresh = fresh_answer(bench)
    key = bench.start(**DEAD)
    real = bench.records.replace_tokens
    calls = []

    def answer_lost(*words: object) -> str:
        outcome = real(*words)  # type: ignore[arg-type]
        calls.append(outcome)
        if len(calls) == 1:
            raise StoreUnavailable("connection broke after the script ran")
        return outcome

    bench.records.replace_tokens = answer_lost  # type: ignore[assignment,method-assign]
    assert bench.access_token(bench.load(key)) == "access-1"
    assert calls == ["applied", "already"]
    assert bench.load(key).generation == 2
    assert bench.provider.revoked == []


def test_promise_3_tokens_that_redis_did_not_take_are_held_and_written_later(bench: Bench) -> None:
    bench.provider.on_refresh = fresh_answer(bench)
    key = bench.start(**DEAD)
    real = bench.records.replace_tokens

    def refuse(*_: object) -> str:
        raise StoreUnavailable("away")

    bench.records.replace_tokens = refuse  # type: ignore[assignment,method-assign]
    with pytest.raises(StoreUnavailable):
        bench.access_token(bench.load(key))
    assert bench.pending_writes.retry() == 1
    bench.records.replace_tokens = real  # type: ignore[method-assign]
    assert bench.pending_writes.retry() == 0
    assert bench.load(key).tokens.refresh_token == "refresh-1"
    assert bench.provider.revoked == []


def test_promise_3_held_tokens_of_a_session_that_ended_are_revoked(bench: Bench) -> None:
    bench.provider.on_refresh = fresh_answer(bench)
    key = bench.start(**DEAD)
    real = bench.records.replace_tokens

    def refuse(*_: object) -> str:
        raise StoreUnavailable("away")

    bench.records.replace_tokens = refuse  # type: ignore[assignment,method-assign]
    with pytest.raises(StoreUnavailable):
        bench.access_token(bench.load(key))
    bench.records.replace_tokens = real  # type: ignore[method-assign]
    bench.sessions.end(key, "logout")
    assert bench.pending_writes.retry() == 0
    assert bench.provider.revoked == ["refresh-0", "refresh-1"]


def test_a_hand_over_during_a_refresh_loses_neither(bench: Bench) -> None:
    """A sign-in hands over an old refresh token while this session is being refreshed."""
    key = bench.start(**DEAD)

    def handed_over(_: str) -> IssuedTokens:
        assert bench.records.keep_refresh_tokens(key, ("refresh-old",))
        return answer(1, now=bench.now())

    bench.provider.on_refresh = handed_over
    assert bench.access_token(bench.load(key)) == "access-1"
    assert bench.load(key).tokens.all_refresh_tokens() == ("refresh-1", "refresh-old")
    assert bench.provider.revoked == []


def test_a_late_writer_does_not_overwrite_newer_tokens(bench: Bench) -> None:
    key = bench.start(**DEAD)

    def overtaken(_: str) -> IssuedTokens:
        _replace(bench, bench.load(key), answer(9, now=bench.now()))
        return answer(1, now=bench.now())

    bench.provider.on_refresh = overtaken
    assert bench.access_token(bench.load(key)) == "access-9"
    assert bench.load(key).tokens.refresh_token == "refresh-9"
    assert bench.provider.revoked == ["refresh-1"]


def test_waiting_for_another_process_is_bounded(make_bench: MakeBench) -> None:
    bench = make_bench(BFF_PROVIDER_TIMEOUT_SECONDS="0.1")
    bench.services.tokens._renewal._wait_seconds = 0.3
    key = bench.start(**DEAD)
    bench.database.command("SET", bench.database.keys.lock(key), "a process that hangs")
    with pytest.raises(ProviderUnavailable):
        bench.access_token(bench.load(key))
    assert bench.provider.refreshed == []


def test_while_another_process_refreshes_the_living_token_serves(bench: Bench) -> None:
    key = bench.start(**ENDING)
    bench.database.command("SET", bench.database.keys.lock(key), "another process")
    assert bench.access_token(bench.load(key)) == "access-0"


def _replace(bench: Bench, session: Session, new: IssuedTokens) -> None:
    tokens = bench.merged(session, new)
    sealed = bench.records.seal_tokens(session.key, tokens)
    outcome = bench.records.replace_tokens(session.key, session.generation, "other", sealed)
    assert outcome == "applied"
