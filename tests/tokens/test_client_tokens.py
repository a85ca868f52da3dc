"""How does the BFF get its own tokens: one for all sessions and processes, renewed in time?"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

import pytest

from bff.config.route import TokenRule
from bff.core.dpop import BoundToken, DPoPKeys
from bff.core.errors import (
    BFFError,
    ProviderRejected,
    ProviderUnavailable,
    RouteTokenRefused,
    StoreUnavailable,
)
from bff.core.model import IssuedTokens, RouteToken
from bff.store.client_tokens import SharedClientTokens
from bff.tokens import client_tokens
from bff.tokens.client_tokens import ClientTokens
from tests.support.bench import Bench, MakeBench

STOCK = TokenRule(mode="client", audience="https://stock", scope="read")
OTHER = TokenRule(mode="client", audience="https://stock", scope="write")


KEYS = ["k" * 32, "l" * 32]


class NumberedTokens(ClientTokens):
    """The client tokens of one process, with a provider that numbers what it issues."""

    def __init__(self, bench: Bench, *, seconds: int = 300, wait_seconds: float = 5) -> None:
        self.provider = bench.provider
        self.shared = SharedClientTokens(bench.database, bench.sealer, ("issuer", "client"))
        self.revoked: set[str] = set()
        super().__init__(
            replace(bench.stores, client_tokens=self.shared),
            bench.provider,
            DPoPKeys(KEYS),
            bench.config.model_copy(update={"provider_timeout_seconds": wait_seconds}),
        )
        self.issues(seconds)

    def _is_revoked(self, token: RouteToken) -> bool:
        return token.access_token in self.revoked

    def issues(self, seconds: int, jkt: str = "") -> None:
        def issue(rule: TokenRule) -> IssuedTokens:
            now = int(time.time())
            token = f"{rule.scope}-{self.provider.client_tokens}"
            ends_at = now + seconds
            return IssuedTokens(access_token=token, issued_at=now, expires_at=ends_at, jkt=jkt)

        self.provider.on_client_token = issue

    def fails(self, error: BFFError) -> None:
        def fail(_: TokenRule) -> IssuedTokens:
            raise error

        self.provider.on_client_token = fail


@pytest.fixture
def advance(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets the monotonic clock of this process forward."""
    real, ahead = time.monotonic, [0.0]
    ours = SimpleNamespace(monotonic=lambda: real() + ahead[0], sleep=time.sleep)
    monkeypatch.setattr(client_tokens, "time", ours)

    def set_forward(seconds: float) -> None:
        ahead[0] += seconds

    return set_forward


def test_one_token_serves_all_processes_and_is_sealed(make_bench: MakeBench) -> None:
    benches = [make_bench() for _ in range(3)]
    all_tokens = [NumberedTokens(bench) for bench in benches]
    with ThreadPoolExecutor(30) as pool:
        got = list(pool.map(lambda n: all_tokens[n % 3].access_token(STOCK), range(150)))
    assert len(set(got)) == 1
    assert sum(bench.provider.client_tokens for bench in benches) == 1
    database = benches[0].database
    [name] = [key for key in benches[0].stored() if "client-token" in key]
    assert got[0].encode() not in b"".join(database.command("HVALS", name))
    assert "stock" not in name


def test_a_cached_token_costs_no_round_trip(bench: Bench) -> None:
    tokens = NumberedTokens(bench)
    first = tokens.access_token(STOCK)
    bench.database.client.close()
    tokens._shared = None  # type: ignore[assignment]
    assert tokens.access_token(STOCK) == first


def test_each_rule_has_a_token_of_its_own(bench: Bench) -> None:
    tokens = NumberedTokens(bench)
    assert {tokens.access_token(rule) for rule in (STOCK, OTHER)} == {"read-1", "write-2"}


def test_another_client_s_token_is_not_found(bench: Bench) -> None:
    NumberedTokens(bench).access_token(STOCK)
    assert (
        SharedClientTokens(bench.database, bench.sealer, ("issuer", "b")).read(STOCK.name) is None
    )


def test_one_request_renews_it_before_its_end(
    bench: Bench, advance: Callable[[float], None]
) -> None:
    tokens = NumberedTokens(bench)
    assert tokens.access_token(STOCK) == "read-1"
    advance(client_tokens.LOOK_SECONDS + 1)
    assert tokens.access_token(STOCK) == "read-1"
    _age(tokens, 30)
    advance(client_tokens.LOOK_SECONDS + 1)
    with ThreadPoolExecutor(20) as pool:
        got = set(pool.map(lambda _: tokens.access_token(STOCK), range(60)))
    assert got <= {"read-1", "read-2"}
    assert tokens.access_token(STOCK) == "read-2"
    assert bench.provider.client_tokens == 2


def test_while_the_provider_is_down_the_valid_token_is_used(
    bench: Bench, advance: Callable[[float], None]
) -> None:
    tokens = NumberedTokens(bench)
    assert tokens.access_token(STOCK) == "read-1"
    _age(tokens, 30)
    tokens.fails(ProviderUnavailable("down", retry_after_seconds=7))
    advance(client_tokens.LOOK_SECONDS + 1)
    for _ in range(3):
        assert tokens.access_token(STOCK) == "read-1"
    assert bench.provider.client_tokens == 2
    advance(300)
    bench.database.command(
        "DEL", bench.database.keys.client_token(tokens.shared._named(STOCK.name))
    )
    with pytest.raises(ProviderUnavailable):
        tokens.access_token(STOCK)


def test_while_redis_is_down_the_valid_token_is_used(
    bench: Bench, advance: Callable[[float], None]
) -> None:
    tokens = NumberedTokens(bench)
    tokens.access_token(STOCK)

    def away(_: str) -> None:
        raise StoreUnavailable("away")

    tokens.shared.read = away  # type: ignore[method-assign,assignment]
    advance(client_tokens.LOOK_SECONDS + 1)
    assert tokens.access_token(STOCK) == "read-1"


def test_a_token_that_redis_did_not_store_is_used_by_this_process(bench: Bench) -> None:
    tokens = NumberedTokens(bench)

    def away(*_: object) -> None:
        raise StoreUnavailable("away")

    tokens.shared.keep = away  # type: ignore[method-assign,assignment]
    assert tokens.access_token(STOCK) == tokens.access_token(STOCK) == "read-1"
    assert bench.provider.client_tokens == 1


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ProviderRejected("invalid_scope", 400), RouteTokenRefused),
        (ProviderUnavailable("down"), ProviderUnavailable),
    ],
)
def test_a_failure_is_stored_for_all_processes(
    make_bench: MakeBench, error: BFFError, expected: type[BFFError]
) -> None:
    benches = [make_bench(), make_bench()]
    for bench in benches:
        tokens = NumberedTokens(bench)
        tokens.fails(error)
        for _ in range(3):
            with pytest.raises(expected):
                tokens.access_token(STOCK)
    assert [bench.provider.client_tokens for bench in benches] == [1, 0]


@pytest.mark.parametrize("wrong", ["read write", "admin"])
def test_a_wider_scope_is_refused(bench: Bench, wrong: str) -> None:
    tokens, at = NumberedTokens(bench), int(time.time())
    bench.provider.on_client_token = lambda _: IssuedTokens(
        access_token="wide", issued_at=at, expires_at=at + 300, scope=wrong
    )
    with pytest.raises(RouteTokenRefused, match="wider_scope"):
        tokens.access_token(STOCK)


def test_a_token_that_has_been_revoked_is_replaced(
    bench: Bench, advance: Callable[[float], None]
) -> None:
    """An end of all sessions, or an empty Redis, revokes every token from before it."""
    tokens = NumberedTokens(bench)
    assert tokens.access_token(STOCK) == "read-1"
    tokens.revoked.add("read-1")
    advance(client_tokens.LOOK_SECONDS + 1)
    assert tokens.access_token(STOCK) == "read-2"


def test_a_token_that_can_t_be_opened_is_replaced(make_bench: MakeBench) -> None:
    """`AUTH0_SECRET` was changed without keeping the old key, or the value was forged."""
    bench = make_bench()
    tokens = NumberedTokens(bench)
    name = bench.database.keys.client_token(tokens.shared._named(STOCK.name))
    bench.database.command("HSET", name, "token", "rubbish", "attempt", "x")
    assert tokens.access_token(STOCK) == "read-1"


def test_waiting_for_another_process_is_bounded(bench: Bench) -> None:
    tokens = NumberedTokens(bench)
    tokens._wait_seconds = 0.2
    name = tokens.shared._named(STOCK.name)
    bench.database.command("SET", bench.database.keys.client_lock(name), "a process that hangs")
    with pytest.raises(ProviderUnavailable):
        tokens.access_token(STOCK)
    assert bench.provider.client_tokens == 0


def test_it_is_bound_for_every_process(make_bench: MakeBench) -> None:
    """Also after a rotation of the secret, while the older one is configured."""
    one, other = NumberedTokens(make_bench()), NumberedTokens(make_bench())
    for key in KEYS:
        one.issues(300, jkt := DPoPKeys([key]).newest.jkt)
        rule = TokenRule(mode="client", audience=key)
        for tokens in (one, other):
            found = tokens.access_token(rule)
            assert isinstance(found, BoundToken)
            assert found.jkt == jkt
    assert other.provider.client_tokens == 0


def test_one_whose_key_is_gone_is_requested_anew(make_bench: MakeBench) -> None:
    one, other = NumberedTokens(make_bench()), NumberedTokens(make_bench())
    one.issues(300, DPoPKeys(["g" * 32]).newest.jkt)
    one.access_token(STOCK)
    assert type(other.access_token(STOCK)) is str
    assert other.provider.client_tokens == 1


def _age(tokens: NumberedTokens, left_seconds: float) -> None:
    """Store the token again with *left_seconds* left."""
    shared = tokens.shared.read(STOCK.name)
    assert shared
    token: RouteToken = shared.token
    tokens.shared.keep(STOCK.name, shared.attempt, token, left_seconds)
