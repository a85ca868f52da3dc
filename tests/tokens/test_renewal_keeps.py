"""What does a refresh keep, store and release, and which error codes end the session?"""

from __future__ import annotations

from typing import NoReturn
from unittest import mock

import msgspec
import pytest

from bff.config.route import TokenRule
from bff.core.errors import (
    ProviderRejected,
    ProviderUnavailable,
    SealInvalid,
    SessionEnded,
    SignInRequired,
    StoreUnavailable,
)
from bff.core.model import IssuedTokens, Session, SignIn
from bff.sessions.lifecycle import session_key
from tests.support.bench import Bench, MakeBench, token_response
from tests.tokens.test_renewal import EXPIRED, EXPIRING, fresh_token_response, raising


def expire_soon(bench: Bench, key: str, seconds_left: int) -> None:
    """Let the stored access token expire in *seconds_left*."""
    session = bench.load(key)
    ends_at = bench.now() + seconds_left
    tokens = msgspec.structs.replace(
        session.tokens, expires_at=ends_at, issued_at=ends_at - bench.config.refresh_before_seconds
    )
    sealed = bench.records.seal_tokens(key, tokens)
    attempt = f"aged to {seconds_left}"
    assert bench.records.replace_tokens(key, session.generation, attempt, sealed) == "applied"


def lock_ms(bench: Bench, key: str) -> int:
    """Milliseconds until the lock expires; negative if there is none."""
    return int(bench.database.command("PTTL", bench.database.keys.lock(key)))


def failure_ms(bench: Bench, key: str) -> int:
    return int(bench.database.command("PTTL", bench.database.keys.failure(key)))


@pytest.mark.parametrize(
    ("error", "status"),
    [("invalid_request", 400), ("invalid_scope", 400), ("access_denied", 403),
     ("invalid_grant_type", 403), ("too_many_attempts", 403)],
)  # fmt: skip
def test_only_invalid_grant_itself_ends_a_session(bench: Bench, error: str, status: int) -> None:
    """Not a code that merely contains it, nor Auth0's 403 alone."""
    bench.provider.on_refresh = raising(ProviderRejected(error, status))
    key = bench.start(**EXPIRED)
    with pytest.raises((ProviderRejected, SignInRequired)):
        bench.access_token(bench.load(key))
    assert bench.load(key).tokens.refresh_token == "refresh-0"


@pytest.mark.parametrize("status", [400, 401, 403])
def test_invalid_grant_ends_it_with_any_status(bench: Bench, status: int) -> None:
    bench.provider.on_refresh = raising(ProviderRejected("invalid_grant", status))
    key = bench.start(**EXPIRED)
    with pytest.raises(SessionEnded):
        bench.access_token(bench.load(key))
    assert bench.sessions.load(key) is None


def test_promise_4_a_session_that_was_read_before_its_end_spends_nothing(bench: Bench) -> None:
    key = bench.start(**EXPIRED)
    before = bench.load(key)
    bench.sessions.end(key, "logout")
    with pytest.raises(SessionEnded):
        bench.access_token(before)
    assert bench.provider.refreshed == []


def test_a_token_that_would_expire_on_the_way_is_not_used(bench: Bench) -> None:
    bench.provider.on_refresh = raising(ProviderUnavailable("503"))
    session = bench.load(bench.start(**EXPIRING))
    late = msgspec.structs.replace(session, read_at=session.tokens.expires_at - 0.5)
    with pytest.raises(ProviderUnavailable):
        bench.access_token(late)


def test_the_lock_outlasts_two_attempts_and_is_released(make_bench: MakeBench) -> None:
    bench = make_bench(BFF_PROVIDER_TIMEOUT_SECONDS="3")
    key, lasting_ms = bench.start(**EXPIRED), []

    def slow(_: str) -> IssuedTokens:
        lasting_ms.append(lock_ms(bench, key))
        if len(lasting_ms) == 1:
            # As if the first attempt had used up most of it.
            bench.database.command("PEXPIRE", bench.database.keys.lock(key), 5_000)
            raise ProviderUnavailable("timeout", maybe_acted=True)
        return token_response(1, now=bench.now())

    bench.provider.on_refresh = slow
    bench.access_token(bench.load(key))
    assert min(lasting_ms) > 2 * 3_000, "the second attempt has the whole time again"
    assert lock_ms(bench, key) < 0


def test_after_a_failure_the_lock_is_released(bench: Bench) -> None:
    bench.provider.on_refresh = raising(ProviderUnavailable("503"))
    key = bench.start(**EXPIRED)
    with pytest.raises(ProviderUnavailable):
        bench.access_token(bench.load(key))
    assert lock_ms(bench, key) < 0


@pytest.mark.parametrize(("retry_after", "seconds"), [(None, 2), (1, 2), (17, 17), (4000, 30)])
def test_a_failure_is_stored_as_long_as_the_provider_asks_within_bounds(
    bench: Bench, retry_after: int | None, seconds: int
) -> None:
    error = ProviderUnavailable("429", retry_after_seconds=retry_after)
    bench.provider.on_refresh = raising(error)
    key = bench.start(**EXPIRED)
    with pytest.raises(ProviderUnavailable):
        bench.access_token(bench.load(key))
    assert (seconds - 1) * 1000 < failure_ms(bench, key) <= seconds * 1000


def test_an_id_token_of_a_refresh_is_checked_for_the_session_s_user(bench: Bench) -> None:
    subjects: list[str | None] = []

    def refresh(
        refresh_token: str, *, subject: str | None = None, rule: TokenRule | None = None
    ) -> IssuedTokens:
        subjects.append(subject)
        return token_response(1, now=bench.now())

    bench.provider.refresh = refresh  # type: ignore[method-assign]
    bench.access_token(bench.load(bench.start(**EXPIRED, subject="auth0|eve")))
    assert subjects == ["auth0|eve"]


def test_what_the_token_response_omits_stays_as_it_was(bench: Bench) -> None:
    """RFC 6749, 5.1 and 6: no `scope` means the same scope, no refresh token the same one."""
    sign_in = bench.sign_in(access_seconds=-1)
    tokens = msgspec.structs.replace(sign_in.tokens, scope="openid items", id_token="kept")
    key = started(bench, msgspec.structs.replace(sign_in, tokens=tokens))
    bench.provider.on_refresh = fresh_token_response(bench)
    bench.access_token(bench.load(key))
    after = bench.load(key).tokens
    assert (after.scope, after.id_token) == ("openid items", "kept")


def test_a_kept_refresh_token_stays_through_a_refresh(bench: Bench) -> None:
    bench.provider.on_refresh = fresh_token_response(bench)
    key = bench.start(**EXPIRED)
    assert bench.records.keep_refresh_tokens(key, ("refresh-old",))
    assert bench.records.keep_refresh_tokens(key, ("refresh-older", "refresh-old"))
    bench.access_token(bench.load(key))
    expected = ("refresh-1", "refresh-old", "refresh-older")
    assert bench.load(key).tokens.all_refresh_tokens() == expected


def test_a_hand_over_that_is_overtaken_is_tried_again(bench: Bench) -> None:
    key = bench.start()
    outcomes: list[str] = []
    real = bench.records.replace_tokens

    def overtaken(*arguments: object) -> str:
        if not outcomes:
            sealed = bench.records.seal_tokens(key, bench.load(key).tokens)
            assert real(key, 1, "another", sealed) == "applied"
        outcomes.append(real(*arguments))  # type: ignore[arg-type]
        return str(outcomes[-1])

    bench.records.replace_tokens = overtaken  # type: ignore[assignment,method-assign]
    assert bench.records.keep_refresh_tokens(key, ("refresh-old",))
    assert outcomes == ["superseded", "applied"]
    assert "refresh-old" in bench.load(key).tokens.all_refresh_tokens()


def test_a_late_writer_revokes_its_own_token_and_no_other(bench: Bench) -> None:
    """The session has the tokens of the faster writer; without a `sid` it takes no others."""
    key = bench.start(**EXPIRED, sid=None)
    assert bench.records.keep_refresh_tokens(key, ("refresh-old",))

    def overtaken(_: str) -> IssuedTokens:
        session: Session = bench.load(key)
        tokens = bench.merged(session, token_response(9, now=bench.now()))
        sealed = bench.records.seal_tokens(key, tokens)
        bench.records.replace_tokens(key, session.generation, "faster", sealed)
        return token_response(1, now=bench.now())

    bench.provider.on_refresh = overtaken
    assert bench.access_token(bench.load(key)) == "access-9"
    assert bench.provider.revoked == ["refresh-1"]
    assert not bench.deny_list.contains("access-9")


def test_every_replaced_access_token_that_is_still_valid_is_listed(bench: Bench) -> None:
    bench.provider.on_refresh = fresh_token_response(bench)
    key = bench.start(**EXPIRING)
    bench.access_token(bench.load(key))
    expire_soon(bench, key, 5)
    assert bench.access_token(bench.load(key)) == "access-2"
    assert len(bench.load(key).tokens.replaced) == 2
    bench.sessions.end(key, "logout")
    assert [bench.deny_list.contains(f"access-{n}") for n in range(3)] == [True] * 3


def test_a_replaced_access_token_that_has_expired_is_dropped(bench: Bench) -> None:
    """Otherwise the record of a long session would grow with every refresh."""
    bench.provider.on_refresh = fresh_token_response(bench)
    key = bench.start(**EXPIRED)
    bench.access_token(bench.load(key))
    expire_soon(bench, key, 5)
    bench.access_token(bench.load(key))
    assert len(bench.load(key).tokens.replaced) == 1


def started(bench: Bench, sign_in: SignIn) -> str:
    """Start a session for exactly this sign-in; its key."""
    key = session_key(bench.sessions.start(sign_in))
    assert key
    return key


def unreadable(*_: object, **__: object) -> NoReturn:
    raise SealInvalid("sealed with a key that is not configured")


def broken(*_: object, **__: object) -> NoReturn:
    raise RuntimeError("nobody expects this")


def overtaken(*_: object) -> str:
    return "other"


def test_promise_3_tokens_for_a_record_that_this_process_cannot_open_are_revoked(
    bench: Bench,
) -> None:
    """Another process has the new key already, and was faster."""
    bench.provider.on_refresh = fresh_token_response(bench)
    key = bench.start(**EXPIRED)
    session = bench.load(key)
    with mock.patch.multiple(bench.records, replace_tokens=overtaken, load=unreadable):
        with pytest.raises(SealInvalid):
            bench.access_token(session)
        assert bench.provider.revoked == ["refresh-1"]
        assert bench.pending_writes.retry() == 0
    assert bench.load(key).tokens.refresh_token == "refresh-0"


def test_promise_3_an_unexpected_error_loses_no_pending_token(bench: Bench) -> None:
    bench.provider.on_refresh = fresh_token_response(bench)
    first, second = bench.start(**EXPIRED), bench.start(**EXPIRED)
    sessions = [bench.load(first), bench.load(second)]
    with mock.patch.object(bench.records, "replace_tokens", broken):
        for session in sessions:
            with pytest.raises(RuntimeError):
                bench.access_token(session)
        with mock.patch.object(bench.revocation, "revoke_tokens", broken):
            bench.pending_writes.discard("of-a-rejected-response", None)
            assert bench.pending_writes.retry() == 3
    assert bench.pending_writes.retry() == 0
    assert bench.load(first).tokens.refresh_token == "refresh-1"
    assert bench.load(second).tokens.refresh_token == "refresh-2"
    assert bench.provider.revoked == ["of-a-rejected-response"]


def away(*_: object, **__: object) -> NoReturn:
    raise StoreUnavailable("away")


@pytest.mark.parametrize(
    ("redis_is_back", "provider_fails", "lost", "revoked"),
    [
        (True, 0, 0, []),
        (False, 0, 0, ["refresh-1"]),
        (False, 1, 0, ["refresh-1"]),
        (False, 1000, 1, []),
    ],
)
def test_promise_3_before_the_process_ends_what_is_pending_is_written_or_revoked(
    bench: Bench, redis_is_back: bool, provider_fails: int, lost: int, revoked: list[str]
) -> None:
    failures = iter(range(provider_fails))

    def fails_at_first(_: str) -> None:
        if next(failures, None) is not None:
            raise ProviderUnavailable("down")

    bench.provider.on_refresh = fresh_token_response(bench)
    bench.provider.on_revoke = fails_at_first
    key = bench.start(**EXPIRED)
    session = bench.load(key)
    with mock.patch.object(bench.records, "replace_tokens", away):
        with pytest.raises(StoreUnavailable):
            bench.access_token(session)
        if not redis_is_back:
            with mock.patch("bff.tokens.pending_writes.FINISH_SECONDS", 1.0):
                assert bench.pending_writes.finish() == lost
    if redis_is_back:
        assert bench.pending_writes.finish() == lost
        assert bench.load(key).tokens.refresh_token == "refresh-1"
    assert bench.provider.revoked == revoked
    assert bench.pending_writes.finish() == 0, "a second call finds nothing"
