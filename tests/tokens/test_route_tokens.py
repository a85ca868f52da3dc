"""How do routes get tokens of their own, and how are these stored, renewed and denied?"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from bff.config.route import TokenRule
from bff.core.errors import ProviderUnavailable, SessionEnded, StoreUnavailable
from bff.core.model import IssuedTokens, RevokedAccessToken, RouteToken
from tests.support.bench import Bench, MakeBench, token_response
from tests.support.route_sessions import (
    BILLS,
    BOTH,
    EXCHANGED,
    EXPIRED,
    ORDERS,
    age_route_token,
    fail_with,
    issue_numbered,
    request_count,
    route_token_response,
)

Issue = Callable[[str, TokenRule], IssuedTokens]
"""What the provider issues for a token and a rule."""


# ---------------------------------------------------------------- issued and stored
def test_a_token_for_an_audience_costs_one_refresh_and_then_nothing(bench: Bench) -> None:
    issue_numbered(bench)
    key = bench.start()
    assert bench.access_token(bench.load(key), ORDERS) == "https://orders#1"
    session = bench.load(key)
    assert bench.access_token(session, ORDERS) == "https://orders#1"
    assert bench.provider.refreshed == ["refresh-0"]
    assert session.tokens.refresh_token == "refresh-1"
    assert session.tokens.access_token == "access-0"
    [stored] = session.tokens.route_tokens
    assert (stored.name, stored.scope) == (ORDERS.name, "read write")


def test_the_end_of_the_refresh_token_that_it_brings_is_the_sessions(bench: Bench) -> None:
    key, ends_at = bench.start(), bench.now() + 900
    for rule, told, kept in ((ORDERS, ends_at, ends_at), (BILLS, None, 0)):
        issued = msgspec.structs.replace(
            route_token_response(bench, f"access-{told}", refresh_token=f"refresh-{told}"),
            refresh_expires_at=told,
        )
        bench.provider.on_audience = lambda _, __, issued=issued: issued  # type: ignore[misc]
        bench.access_token(bench.load(key), rule)
        assert bench.load(key).tokens.refresh_expires_at == kept


def test_each_rule_has_a_token_of_its_own(bench: Bench) -> None:
    issue_numbered(bench)
    key = bench.start()
    tokens = [bench.access_token(bench.load(key), rule) for rule in (ORDERS, BILLS)]
    assert tokens == ["https://orders#1", "https://bills#2"]
    assert bench.provider.refreshed == ["refresh-0", "refresh-1"]
    assert len(bench.load(key).tokens.route_tokens) == 2


def test_a_request_that_read_older_tokens_finds_those_of_another_request(bench: Bench) -> None:
    issue_numbered(bench)
    key = bench.start()
    before = bench.load(key)
    bench.access_token(bench.load(key), ORDERS)
    assert bench.access_token(before, ORDERS) == "https://orders#1"
    assert request_count(bench) == 1


def test_an_exchange_uses_a_fresh_access_token(bench: Bench) -> None:
    issue_numbered(bench)
    key = bench.start(**EXPIRED)
    assert bench.access_token(bench.load(key), EXCHANGED) == "https://orders#x1"
    assert (bench.provider.refreshed, bench.provider.exchanged) == (["refresh-0"], ["access-1"])
    session = bench.load(key)
    assert (session.tokens.access_token, session.tokens.refresh_token) == ("access-1", "refresh-1")
    assert bench.access_token(session, EXCHANGED) == "https://orders#x1"
    assert len(bench.provider.exchanged) == 1


def test_the_ordinary_refresh_keeps_the_routes_tokens(bench: Bench) -> None:
    issue_numbered(bench)
    key = bench.start(access_seconds=30)
    bench.access_token(bench.load(key), ORDERS)
    assert bench.access_token(bench.load(key)) == "access-2"
    assert bench.access_token(bench.load(key), ORDERS) == "https://orders#1"
    assert bench.provider.refreshed == ["refresh-0", "refresh-1"]


def test_an_expired_token_is_refreshed_though_a_route_s_token_raised_the_generation(
    bench: Bench,
) -> None:
    """A newer generation alone doesn't mean that the access token is fresh."""
    issue_numbered(bench)
    key = bench.start(**EXPIRED)
    before = bench.load(key)
    bench.access_token(bench.load(key), ORDERS)
    assert bench.access_token(before) == "access-2"


@pytest.mark.parametrize("rule", BOTH, ids=lambda rule: rule.mode)
def test_a_valid_token_is_used_while_the_provider_is_down(bench: Bench, rule: TokenRule) -> None:
    issue_numbered(bench)
    key = bench.start()
    token = bench.access_token(bench.load(key), rule)
    age_route_token(bench, key, 30)
    fail_with(bench, ProviderUnavailable("down"))
    assert bench.access_token(bench.load(key), rule) == token
    age_route_token(bench, key, 0)
    with pytest.raises(ProviderUnavailable) as raised:
        bench.access_token(bench.load(key), rule)
    assert raised.value.retry_after_seconds


@pytest.mark.parametrize("rule", BOTH, ids=lambda rule: rule.mode)
def test_a_token_is_renewed_before_its_end_and_the_old_one_is_listed(
    bench: Bench, rule: TokenRule
) -> None:
    issue_numbered(bench)
    key = bench.start()
    old = bench.access_token(bench.load(key), rule)
    age_route_token(bench, key, 30)
    new = bench.access_token(bench.load(key), rule)
    assert new != old
    [stored] = bench.load(key).tokens.route_tokens
    assert stored.access_token == new
    bench.sessions.end(key, "logout")
    assert bench.deny_list.contains(old)
    assert bench.deny_list.contains(new)


# ---------------------------------------------------------------- spending refresh tokens
@pytest.mark.parametrize("left", [EXPIRED, {"access_seconds": 30}], ids=["expired", "expiring"])
def test_promise_4_both_kinds_at_once_spend_each_refresh_token_once(
    make_bench: MakeBench, left: dict[str, int]
) -> None:
    """Three processes, several routes: each request spends the token that the last one received."""
    benches = [make_bench() for _ in range(3)]
    spent: list[str] = []
    lock = threading.Lock()

    def rotate(refresh_token: str) -> int:
        with lock:
            spent.append(refresh_token)
            return len(spent)

    for bench in benches:
        bench.provider.on_refresh = lambda t: token_response(rotate(t), now=benches[0].now())
        bench.provider.on_audience = lambda t, rule: route_token_response(
            benches[0], f"{rule.audience}", refresh_token=f"refresh-{rotate(t)}"
        )
    key = benches[0].start(**left)
    session = benches[0].load(key)
    rules = [None, ORDERS, BILLS]

    def request(number: int) -> str:
        return benches[number % 3].access_token(session, rules[number // 3 % 3])

    with ThreadPoolExecutor(60) as pool:
        received = list(pool.map(request, range(180)))
    assert len(spent) == len(set(spent)) == 3
    assert {received[3], received[6]} == {"https://orders", "https://bills"}
    tokens = benches[0].load(key).tokens
    assert tokens.refresh_token == "refresh-3"
    assert len(tokens.route_tokens) == 2
    assert [one.provider.revoked for one in benches] == [[], [], []]


@pytest.mark.parametrize("rule", BOTH, ids=lambda rule: rule.mode)
def test_a_lost_response_is_requested_once_more(bench: Bench, rule: TokenRule) -> None:
    issue_numbered(bench)
    real = bench.provider.on_audience, bench.provider.on_exchange
    fail_with(bench, ProviderUnavailable("cut off", maybe_acted=True))
    key, lost = bench.start(), request_count(bench)
    with pytest.raises(ProviderUnavailable):
        bench.access_token(bench.load(key), rule)
    assert request_count(bench) == lost + 2
    bench.provider.on_audience, bench.provider.on_exchange = real
    with pytest.raises(ProviderUnavailable, match="remembered"):
        bench.access_token(bench.load(key), rule)
    # Another rule's failure is not this one's.
    assert bench.access_token(bench.load(key), BILLS).startswith("https://bills")


def ended_meanwhile(bench: Bench, key: str, issue: Issue) -> Issue:
    """End the session before the provider responds."""

    def ended(token: str, rule: TokenRule) -> IssuedTokens:
        bench.sessions.end(key, "logout")
        return issue(token, rule)

    return ended


def test_a_session_that_ends_meanwhile_gets_no_token_and_leaves_none(bench: Bench) -> None:
    issue_numbered(bench)
    key = bench.start()
    bench.provider.on_audience = ended_meanwhile(bench, key, bench.provider.on_audience)
    with pytest.raises(SessionEnded):
        bench.access_token(bench.load(key), ORDERS)
    assert bench.provider.revoked == ["refresh-0", "refresh-1"]
    assert bench.deny_list.contains("https://orders#1")


def test_a_token_that_is_exchanged_too_late_is_denied(bench: Bench) -> None:
    issue_numbered(bench)
    key = bench.start()
    bench.provider.on_exchange = ended_meanwhile(bench, key, bench.provider.on_exchange)
    with pytest.raises(SessionEnded):
        bench.access_token(bench.load(key), EXCHANGED)
    assert bench.deny_list.contains("https://orders#x1")


@pytest.mark.parametrize("rule", BOTH, ids=lambda rule: rule.mode)
def test_a_token_that_redis_did_not_store_is_written_later(bench: Bench, rule: TokenRule) -> None:
    issue_numbered(bench)
    key = bench.start()
    real, session = bench.records.replace_tokens, bench.load(key)

    def away(*_: object) -> str:
        raise StoreUnavailable("away")

    bench.records.replace_tokens = away  # type: ignore[assignment,method-assign]
    with pytest.raises(StoreUnavailable):
        bench.access_token(session, rule)
    bench.records.replace_tokens = real  # type: ignore[method-assign]
    assert bench.pending_writes.retry() == 0
    assert bench.load(key).tokens.route_token(rule.name)
    assert bench.provider.revoked == []


def test_a_late_exchange_is_added_to_the_tokens_of_a_refresh(bench: Bench) -> None:
    """The lock was lost; an exchange spends nothing, so the tokens of both are stored."""
    issue_numbered(bench)
    issue = bench.provider.on_exchange
    key = bench.start()

    def overtaken(access_token: str, rule: TokenRule) -> IssuedTokens:
        session = bench.load(key)
        sealed = bench.records.seal_tokens(
            key, bench.merged(session, token_response(9, now=bench.now()))
        )
        assert bench.records.replace_tokens(key, session.generation, "o", sealed) == "applied"
        return issue(access_token, rule)

    bench.provider.on_exchange = overtaken
    assert bench.access_token(bench.load(key), EXCHANGED) == "https://orders#x1"
    tokens = bench.load(key).tokens
    assert (tokens.access_token, tokens.refresh_token) == ("access-9", "refresh-9")
    assert tokens.route_token(EXCHANGED.name)


# ---------------------------------------------------------------- denied
@pytest.mark.parametrize("way", ["end", "end_group", "end_into"])
def test_every_route_s_token_is_denied_when_the_session_ends(bench: Bench, way: str) -> None:
    issue_numbered(bench)
    key = bench.start()
    for rule in (ORDERS, EXCHANGED):
        bench.access_token(bench.load(key), rule)
    session = bench.load(key)
    if way == "end":
        bench.sessions.end(key, "logout")
    elif way == "end_group":
        bench.sessions.end_these([key], "admin")
    else:
        bench.revocation.end_into(key, bench.start(refresh="refresh-new"))
    for token in ("access-0", *(t.access_token for t in session.tokens.route_tokens)):
        assert bench.deny_list.contains(token), token


# ---------------------------------------------------------------- the format of the record
def test_tokens_that_an_older_version_sealed_still_open(bench: Bench) -> None:
    key = bench.start()
    tokens = bench.load(key).tokens
    old = msgspec.to_builtins(tokens)
    for added in ("route_tokens", "client_id"):
        del old[added]
    sealed = bench.sealer.seal(msgspec.json.encode(old), f"session {key} tokens")
    assert bench.records.open_tokens(key, sealed) == tokens


def test_expired_tokens_are_dropped(bench: Bench) -> None:
    issue_numbered(bench)
    key = bench.start()
    session = bench.load(key)
    gone = RouteToken(name="audience - https://gone", access_token="g", issued_at=1, expires_at=2)
    tokens = msgspec.structs.replace(
        session.tokens,
        route_tokens=(gone,),
        replaced=(RevokedAccessToken(deny_id="long-gone", expires_at=2),),
    )
    sealed = bench.records.seal_tokens(key, tokens)
    assert bench.records.replace_tokens(key, 1, "other", sealed) == "applied"
    bench.access_token(bench.load(key), ORDERS)
    after = bench.load(key).tokens
    assert [token.name for token in after.route_tokens] == [ORDERS.name]
    assert after.replaced == ()
