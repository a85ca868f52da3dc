"""Which request spends a refresh token, and what does each failure lead to?

docs/architecture/refresh.md lists the failures.
"""

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
    SignInRequired,
    StoreUnavailable,
)
from bff.core.model import IssuedTokens, Session
from tests.support.bench import Bench, MakeBench, token_response

EXPIRED = {"access_seconds": -1}
EXPIRING = {"access_seconds": 30}
FRESH = {"access_seconds": 200}


def raising(error: BFFError) -> Callable[[str], IssuedTokens]:
    def raise_it(_: str) -> IssuedTokens:
        raise error

    return raise_it


def fresh_token_response(bench: Bench) -> Callable[[str], IssuedTokens]:
    return lambda _: token_response(len(bench.provider.refreshed), now=bench.now())


def test_a_token_with_time_left_is_not_refreshed(bench: Bench) -> None:
    session = bench.load(bench.start(**FRESH))
    assert bench.access_token(session) == "access-0"
    assert bench.provider.refreshed == []


def test_the_window_is_never_more_than_a_fifth_of_the_token_s_lifetime(bench: Bench) -> None:
    """A token of 100 seconds with 30 left is outside its window of 20, though 30 < 60."""
    session = bench.load(bench.start(**EXPIRING))
    tokens = msgspec.structs.replace(session.tokens, issued_at=session.tokens.expires_at - 100)
    session = msgspec.structs.replace(session, tokens=tokens)
    assert bench.access_token(session) == "access-0"
    assert bench.provider.refreshed == []


@pytest.mark.parametrize("left", [EXPIRING, EXPIRED], ids=["expiring", "expired"])
def test_an_expiring_or_expired_token_is_refreshed_and_stored(
    bench: Bench, left: dict[str, int]
) -> None:
    bench.provider.on_refresh = fresh_token_response(bench)
    key = bench.start(**left)
    assert bench.access_token(bench.load(key)) == "access-1"
    session = bench.load(key)
    assert (session.tokens.refresh_token, session.generation) == ("refresh-1", 2)
    assert bench.access_token(session) == "access-1"
    assert bench.provider.refreshed == ["refresh-0"]


def test_without_rotation_the_refresh_token_stays(bench: Bench) -> None:
    bench.provider.on_refresh = lambda _: msgspec.structs.replace(
        token_response(1, now=bench.now()), refresh_token=None
    )
    key = bench.start(**EXPIRED)
    bench.access_token(bench.load(key))
    assert bench.load(key).tokens.refresh_token == "refresh-0"


def test_a_request_that_read_older_tokens_uses_those_of_the_refresh_after_it(bench: Bench) -> None:
    bench.provider.on_refresh = fresh_token_response(bench)
    key = bench.start(**EXPIRED)
    before = bench.load(key)
    bench.access_token(bench.load(key))
    assert bench.access_token(before) == "access-1"
    assert bench.provider.refreshed == ["refresh-0"]


def test_invalid_grant_ends_the_session(bench: Bench) -> None:
    bench.provider.on_refresh = raising(ProviderRejected("invalid_grant", 403))
    key = bench.start(**EXPIRED)
    with pytest.raises(SessionEnded):
        bench.access_token(bench.load(key))
    assert bench.sessions.load(key) is None
    assert bench.provider.revoked == ["refresh-0"]


def test_invalid_grant_while_the_old_token_is_valid_ends_the_session_too(bench: Bench) -> None:
    bench.provider.on_refresh = raising(ProviderRejected("invalid_grant", 403))
    key = bench.start(**EXPIRING)
    with pytest.raises(SessionEnded):
        bench.access_token(bench.load(key))
    assert bench.sessions.load(key) is None


def test_invalid_grant_for_a_generation_that_was_replaced_uses_the_newer(bench: Bench) -> None:
    """The lock expired and another process refreshed: the refused token isn't the current one."""
    key = bench.start(**EXPIRED)

    def replaced_meanwhile(_: str) -> IssuedTokens:
        _replace(bench, bench.load(key), token_response(7, now=bench.now()))
        raise ProviderRejected("invalid_grant", 403)

    bench.provider.on_refresh = replaced_meanwhile
    assert bench.access_token(bench.load(key)) == "access-7"
    assert bench.provider.revoked == []


def test_an_id_token_of_another_user_ends_the_session(bench: Bench) -> None:
    bench.provider.on_refresh = raising(IDTokenInvalid("sub differs"))
    key = bench.start(**EXPIRED)
    with pytest.raises(SessionEnded):
        bench.access_token(bench.load(key))
    assert bench.sessions.load(key) is None


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ProviderUnavailable("503"), ProviderUnavailable),
        (ProviderMisconfigured("invalid_client"), ProviderMisconfigured),
        (ProviderRejected("invalid_scope", 400), ProviderRejected),
        (ProviderRejected("invalid_request", 400), SignInRequired),
        (ProviderRejected("temporarily_odd", 400), SignInRequired),
    ],
    ids=["unavailable", "invalid_client", "invalid_scope", "invalid_request", "other_error"],
)
def test_a_failure_of_the_provider_keeps_the_session(
    bench: Bench, error: BFFError, expected: type[BFFError]
) -> None:
    bench.provider.on_refresh = raising(error)
    key = bench.start(**EXPIRED)
    with pytest.raises(expected):
        bench.access_token(bench.load(key))
    assert bench.load(key).tokens.refresh_token == "refresh-0"
    assert bench.provider.revoked == []


@pytest.mark.parametrize(
    "error",
    [ProviderUnavailable("503"), ProviderMisconfigured("invalid_client")],
    ids=["unavailable", "invalid_client"],
)
def test_while_the_old_token_is_valid_a_failure_has_no_effect(
    bench: Bench, error: BFFError
) -> None:
    bench.provider.on_refresh = raising(error)
    assert bench.access_token(bench.load(bench.start(**EXPIRING))) == "access-0"


def test_a_failure_is_stored_so_that_a_burst_does_not_reach_the_provider(bench: Bench) -> None:
    bench.provider.on_refresh = raising(ProviderUnavailable("503"))
    session = bench.load(bench.start(**EXPIRED))
    for _ in range(5):
        with pytest.raises(ProviderUnavailable):
            bench.access_token(session)
    assert bench.provider.refreshed == ["refresh-0"]


def test_a_stored_failure_keeps_its_kind(bench: Bench) -> None:
    bench.provider.on_refresh = raising(ProviderMisconfigured("invalid_client"))
    session = bench.load(bench.start(**EXPIRED))
    for _ in range(2):
        with pytest.raises(ProviderMisconfigured):
            bench.access_token(session)


def test_a_lost_response_is_retried_once_with_the_same_token(bench: Bench) -> None:
    """The rotation may have happened; within the overlap the same token works once more."""

    def first_lost(_: str) -> IssuedTokens:
        if len(bench.provider.refreshed) == 1:
            raise ProviderUnavailable("timeout", maybe_acted=True)
        return token_response(2, now=bench.now())

    bench.provider.on_refresh = first_lost
    key = bench.start(**EXPIRED)
    assert bench.access_token(bench.load(key)) == "access-2"
    assert bench.provider.refreshed == ["refresh-0", "refresh-0"]


def test_a_5xx_response_is_not_retried(bench: Bench) -> None:
    bench.provider.on_refresh = raising(ProviderUnavailable("502", maybe_acted=False))
    with pytest.raises(ProviderUnavailable):
        bench.access_token(bench.load(bench.start(**EXPIRED)))
    assert len(bench.provider.refreshed) == 1


def test_no_retry_without_the_lock(bench: Bench) -> None:
    """After a stall longer than the lock, another process may be spending the token."""
    key = bench.start(**EXPIRED)

    def lost_lock(_: str) -> IssuedTokens:
        bench.database.command("SET", bench.database.keys.lock(key), "another process")
        raise ProviderUnavailable("timeout", maybe_acted=True)

    bench.provider.on_refresh = lost_lock
    with pytest.raises(ProviderUnavailable):
        bench.access_token(bench.load(key))
    assert len(bench.provider.refreshed) == 1
    lock = bench.database.command("GET", bench.database.keys.lock(key))
    assert lock == b"another process", "a lock is released only by its owner"


def test_without_a_refresh_token_an_expired_access_token_ends_the_session(bench: Bench) -> None:
    key = bench.start(**EXPIRED)
    session = bench.load(key)
    tokens = msgspec.structs.replace(session.tokens, refresh_token=None)
    with pytest.raises(SessionEnded):
        bench.access_token(msgspec.structs.replace(session, tokens=tokens))
    assert bench.sessions.load(key) is None


def test_promise_4_a_refresh_token_is_spent_once_by_many_threads_and_processes(
    make_bench: MakeBench,
) -> None:
    benches = [make_bench() for _ in range(3)]
    spent: list[str] = []
    for bench in benches:

        def refresh(token: str, bench: Bench = bench) -> IssuedTokens:
            spent.append(token)
            return token_response(len(spent), now=bench.now())

        bench.provider.on_refresh = refresh
    session = benches[0].load(benches[0].start(**EXPIRED))
    go = threading.Barrier(30)

    def request(bench: Bench) -> str:
        go.wait()
        return bench.access_token(session)

    with ThreadPoolExecutor(30) as pool:
        tokens = list(pool.map(request, benches * 10))
    assert spent == ["refresh-0"]
    assert set(tokens) == {"access-1"}


def test_a_logout_during_a_refresh_wins_and_the_new_token_is_revoked(bench: Bench) -> None:
    """Promises 2 and 3: the session stays ended, and tokens that came too late are revoked."""
    key = bench.start(**EXPIRED)

    def logout_meanwhile(_: str) -> IssuedTokens:
        assert bench.sessions.end(key, "logout")
        return token_response(1, now=bench.now())

    bench.provider.on_refresh = logout_meanwhile
    with pytest.raises(SessionEnded):
        bench.access_token(bench.load(key))
    assert bench.sessions.load(key) is None
    assert bench.provider.revoked == ["refresh-0", "refresh-1"]
    assert bench.deny_list.contains("access-0")
    assert bench.deny_list.contains("access-1")


def test_the_replaced_access_token_is_denied_with_the_session(bench: Bench) -> None:
    bench.provider.on_refresh = fresh_token_response(bench)
    key = bench.start(**EXPIRING)
    bench.access_token(bench.load(key))
    assert bench.sessions.end(key, "logout")
    assert bench.deny_list.contains("access-0"), "replaced a moment ago, and still valid"
    assert bench.deny_list.contains("access-1")
    assert not bench.deny_list.contains("access-2")


def test_a_write_whose_reply_was_lost_is_recognised(bench: Bench) -> None:
    bench.provider.on_refresh = fresh_token_response(bench)
    key = bench.start(**EXPIRED)
    real = bench.records.replace_tokens
    outcomes = []

    def reply_lost(*arguments: object) -> str:
        outcome = real(*arguments)  # type: ignore[arg-type]
        outcomes.append(outcome)
        if len(outcomes) == 1:
            raise StoreUnavailable("connection broke after the script ran")
        return outcome

    bench.records.replace_tokens = reply_lost  # type: ignore[assignment,method-assign]
    assert bench.access_token(bench.load(key)) == "access-1"
    assert outcomes == ["applied", "already"]
    assert bench.load(key).generation == 2
    assert bench.provider.revoked == []


def test_promise_3_tokens_that_redis_did_not_store_are_written_later(bench: Bench) -> None:
    bench.provider.on_refresh = fresh_token_response(bench)
    key = bench.start(**EXPIRED)
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


def test_promise_3_pending_tokens_of_a_session_that_ended_are_revoked(bench: Bench) -> None:
    bench.provider.on_refresh = fresh_token_response(bench)
    key = bench.start(**EXPIRED)
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


def test_a_hand_over_during_a_refresh_loses_neither_token(bench: Bench) -> None:
    """A sign-in hands over an old refresh token while this session is being refreshed."""
    key = bench.start(**EXPIRED)

    def handed_over(_: str) -> IssuedTokens:
        assert bench.records.keep_refresh_tokens(key, ("refresh-old",))
        return token_response(1, now=bench.now())

    bench.provider.on_refresh = handed_over
    assert bench.access_token(bench.load(key)) == "access-1"
    assert bench.load(key).tokens.all_refresh_tokens() == ("refresh-1", "refresh-old")
    assert bench.provider.revoked == []


def test_a_late_writer_does_not_overwrite_newer_tokens(bench: Bench) -> None:
    key = bench.start(**EXPIRED)

    def overtaken(_: str) -> IssuedTokens:
        _replace(bench, bench.load(key), token_response(9, now=bench.now()))
        return token_response(1, now=bench.now())

    bench.provider.on_refresh = overtaken
    assert bench.access_token(bench.load(key)) == "access-9"
    assert bench.load(key).tokens.all_refresh_tokens() == ("refresh-9", "refresh-1")
    assert bench.provider.revoked == []
    bench.sessions.end(key, "logout")
    assert bench.provider.revoked == ["refresh-9", "refresh-1"]


def test_waiting_for_another_process_is_bounded(make_bench: MakeBench) -> None:
    bench = make_bench(BFF_PROVIDER_TIMEOUT_SECONDS="0.1")
    bench.services.tokens._renewal._wait_seconds = 0.3
    key = bench.start(**EXPIRED)
    bench.database.command("SET", bench.database.keys.lock(key), "a process that hangs")
    with pytest.raises(ProviderUnavailable):
        bench.access_token(bench.load(key))
    assert bench.provider.refreshed == []


def test_while_another_process_refreshes_the_valid_token_is_used(bench: Bench) -> None:
    key = bench.start(**EXPIRING)
    bench.database.command("SET", bench.database.keys.lock(key), "another process")
    assert bench.access_token(bench.load(key)) == "access-0"


def _replace(bench: Bench, session: Session, new: IssuedTokens) -> None:
    tokens = bench.merged(session, new)
    sealed = bench.records.seal_tokens(session.key, tokens)
    outcome = bench.records.replace_tokens(session.key, session.generation, "other", sealed)
    assert outcome == "applied"
