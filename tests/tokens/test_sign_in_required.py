"""A refresh that needs the user: 401 until the next sign-in, and the session stays."""

from __future__ import annotations

from typing import Any

import pytest

from bff.config.route import TokenRule
from bff.core.errors import ProviderRejected, RouteTokenRefused, SignInRequired
from bff.core.model import IssuedTokens
from tests.support.bench import Bench
from tests.support.route_sessions import BOTH, fail_with, issue_numbered

EXPIRED = {"access_seconds": -1}
LAST_MINUTE = {"access_seconds": 30}
LAST_SEEN_SECONDS_AGO = 600

NEEDS_USER = [
    ("interaction_required", 400), ("login_required", 400), ("consent_required", 400),
    ("mfa_required", 403), ("account_selection_required", 400), ("access_denied", 403),
    ("access_denied", 500), ("unauthorized", 401), ("expired_token", 400), ("token_expired", 400),
    ("user_blocked", 403), ("too_many_attempts", 403),
]  # fmt: skip


def refuse(bench: Bench, error: str, status: int) -> None:
    def refused(_: str) -> IssuedTokens:
        raise ProviderRejected(error, status)

    bench.provider.on_refresh = refused


def times(bench: Bench, key: str) -> list[Any]:
    name = bench.database.keys.session(key)
    return list(bench.database.command("HMGET", name, "last_seen_at", "idle_ends_at"))


def leave_alone(bench: Bench, key: str) -> None:
    """As if the user had not been here for ten minutes."""
    name = bench.database.keys.session(key)
    for field in ("last_seen_at", "idle_ends_at"):
        bench.database.command("HINCRBY", name, field, -LAST_SEEN_SECONDS_AGO)


@pytest.mark.parametrize(("error", "status"), NEEDS_USER, ids=lambda value: str(value))
def test_the_session_stays_and_the_provider_is_not_asked_again_at_once(
    bench: Bench, error: str, status: int
) -> None:
    refuse(bench, error, status)
    key = bench.start(**EXPIRED)
    for _ in range(3):
        with pytest.raises(SignInRequired):
            bench.access_token(bench.load(key))
    assert bench.provider.refreshed == ["refresh-0"]
    assert bench.load(key).tokens.refresh_token == "refresh-0"
    assert bench.provider.revoked == []


def test_refused_calls_are_no_use_of_the_session(bench: Bench) -> None:
    refuse(bench, "mfa_required", 403)
    key = bench.start(**EXPIRED)
    leave_alone(bench, key)
    before = times(bench, key)
    for _ in range(3):
        with pytest.raises(SignInRequired):
            bench.access_token(bench.load(key))
    assert times(bench, key) == before
    # Any other request still is.
    bench.load(key)
    assert times(bench, key) != before


def test_a_slide_before_the_refused_call_stays(bench: Bench) -> None:
    refuse(bench, "mfa_required", 403)
    key = bench.start(**EXPIRED)
    leave_alone(bench, key)
    bench.load(key)
    bench.database.command("HINCRBY", bench.database.keys.session(key), "last_seen_at", -5)
    slid = times(bench, key)
    with pytest.raises(SignInRequired):
        bench.access_token(bench.load(key))
    assert times(bench, key) == slid


def test_the_valid_token_is_used_to_its_end_and_such_calls_are_use(bench: Bench) -> None:
    refuse(bench, "consent_required", 400)
    key = bench.start(**LAST_MINUTE)
    leave_alone(bench, key)
    before = times(bench, key)
    assert bench.access_token(bench.load(key)) == "access-0"
    assert times(bench, key) != before


@pytest.mark.parametrize("rule", BOTH, ids=lambda rule: rule.mode)
@pytest.mark.parametrize(
    ("error", "expected"),
    [("interaction_required", SignInRequired), ("mfa_required", SignInRequired),
     ("consent_required", SignInRequired), ("access_denied", RouteTokenRefused),
     ("unauthorized", RouteTokenRefused), ("invalid_grant", RouteTokenRefused)],
)  # fmt: skip
def test_for_a_route_s_token_a_sign_in_helps_only_where_the_provider_says_so(
    bench: Bench, rule: TokenRule, error: str, expected: type[Exception]
) -> None:
    issue_numbered(bench)
    fail_with(bench, ProviderRejected(error, 400))
    key = bench.start()
    for _ in range(2):
        with pytest.raises(expected):
            bench.access_token(bench.load(key), rule)
    assert bench.access_token(bench.load(key)) == "access-0"
