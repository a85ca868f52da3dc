"""The BFF's own tokens: one for all sessions and all processes, renewed before its end."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

import pytest

from bff.config.route import TokenRule
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


class Tokens(ClientTokens):
    """One process's, with a provider that numbers what it gives."""

    def __init__(self, bench: Bench, *, seconds: int = 300, wait_seconds: float = 5) -> None:
        self.provider = bench.provider
        self.shared = SharedClientTokens(bench.database, bench.sealer, ("issuer", "client"))
        self.dead: set[str] = set()
        super().__init__(
            replace(bench.stores, client_tokens=self.shared),
            bench.provider,
            bench.config.model_copy(update={"provider_timeout_seconds": wait_seconds}),
        )
        self.gives(seconds)

    def _is_revoked(self, token: RouteToken) -> bool:
        return token.access_token in self.dead

    def gives(self, seconds: int) -> None:
        def give(rule: TokenRule) -> IssuedTokens:
            now = int(time.time())
            token = f"{rule.scope}-{self.provider.client_tokens}"
            return IssuedTokens(access_token=token, issued_at=now, expires_at=now + seconds)

        self.provider.on_client_token = give

    def fails(self, error: BFFError) -> None:
        def fail(_: TokenRule) -> IssuedTokens:
            raise error

        self.provider.on_client_token = fail


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Lets this process's monotonic clock jump."""
    real, ahead = time.monotonic, [0.0]
    ours = SimpleNamespace(monotonic=lambda: real() + ahead[0], sleep=time.sleep)
    monkeypatch.setattr(client_tokens, "time", ours)

    def jump(seconds: float) -> None:
        ahead[0] += seconds

    return jump


def test_one_token_serves_all_processes_and_is_sealed(make_bench: MakeBench) -> None:
    benches = [make_bench() for _ in range(3)]
    all_tokens = [Tokens(bench) for bench in benches]
    with ThreadPoolExecutor(30) as pool:
        got = list(pool.map(lambda n: all_tokens[n % 3].access_token(STOCK), range(150)))
    assert len(set(got)) == 1
    assert sum(bench.provider.client_tokens for bench in benches) == 1
    database = benches[0].database
    [name] = [key for key in benches[0].stored() if "client-token" in key]
    assert got[0].encode() not in b"".join(database.command("HVALS", name))
    assert "stock" not in name


def test_a_remembered_token_costs_no_round_trip(bench: Bench) -> None:
    tokens = Tokens(bench)
    first = tokens.access_token(STOCK)
    bench.database.client.close()
    tokens._shared = None  # type: ignore[assignment]
    assert tokens.access_token(STOCK) == first


def test_rules_don_t_share(bench: Bench) -> None:
    tokens = Tokens(bench)
    assert {tokens.access_token(rule) for rule in (STOCK, OTHER)} == {"read-1", "write-2"}


def test_another_client_s_token_is_not_found(bench: Bench) -> None:
    Tokens(bench).access_token(STOCK)
    assert (
        SharedClientTokens(bench.database, bench.sealer, ("issuer", "b")).read(STOCK.name) is None
    )


def test_it_is_renewed_before_its_end_by_one(bench: Bench, now: Callable[[float], None]) -> None:
    tokens = Tokens(bench)
    assert tokens.access_token(STOCK) == "read-1"
    now(client_tokens.LOOK_SECONDS + 1)
    assert tokens.access_token(STOCK) == "read-1"
    _age(tokens, 30)
    now(client_tokens.LOOK_SECONDS + 1)
    with ThreadPoolExecutor(20) as pool:
        got = set(pool.map(lambda _: tokens.access_token(STOCK), range(60)))
    assert got <= {"read-1", "read-2"}
    assert tokens.access_token(STOCK) == "read-2"
    assert bench.provider.client_tokens == 2


def test_an_outage_leaves_the_living_token(bench: Bench, now: Callable[[float], None]) -> None:
    tokens = Tokens(bench)
    assert tokens.access_token(STOCK) == "read-1"
    _age(tokens, 30)
    tokens.fails(ProviderUnavailable("down", retry_after_seconds=7))
    now(client_tokens.LOOK_SECONDS + 1)
    for _ in range(3):
        assert tokens.access_token(STOCK) == "read-1"
    assert bench.provider.client_tokens == 2
    now(300)
    bench.database.command(
        "DEL", bench.database.keys.client_token(tokens.shared._named(STOCK.name))
    )
    with pytest.raises(ProviderUnavailable):
        tokens.access_token(STOCK)


def test_redis_away_leaves_the_living_token(bench: Bench, now: Callable[[float], None]) -> None:
    tokens = Tokens(bench)
    tokens.access_token(STOCK)

    def away(_: str) -> None:
        raise StoreUnavailable("away")

    tokens.shared.read = away  # type: ignore[method-assign,assignment]
    now(client_tokens.LOOK_SECONDS + 1)
    assert tokens.access_token(STOCK) == "read-1"


def test_what_redis_did_not_take_is_used_here(bench: Bench) -> None:
    tokens = Tokens(bench)

    def away(*_: object) -> None:
        raise StoreUnavailable("away")

    tokens.shared.keep = away  # type: ignore[method-assign,assignment]
    assert tokens.access_token(STOCK) == tokens.access_token(STOCK) == "read-1"
    assert bench.provider.client_tokens == 1


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ProviderRejected("invalid_scope", 400), RouteTokenRefused),
        (ProviderUnavailable("down"), ProviderUnavailable),
    ],
)
def test_a_failure_is_remembered_for_all_processes(
    make_bench: MakeBench, error: BFFError, told: type[BFFError]
) -> None:
    benches = [make_bench(), make_bench()]
    for bench in benches:
        tokens = Tokens(bench)
        tokens.fails(error)
        for _ in range(3):
            with pytest.raises(told):
                tokens.access_token(STOCK)
    assert [bench.provider.client_tokens for bench in benches] == [1, 0]


@pytest.mark.parametrize("wrong", ["read write", "admin"])
def test_a_wider_scope_is_refused(bench: Bench, wrong: str) -> None:
    tokens, at = Tokens(bench), int(time.time())
    bench.provider.on_client_token = lambda _: IssuedTokens(
        access_token="wide", issued_at=at, expires_at=at + 300, scope=wrong
    )
    with pytest.raises(RouteTokenRefused, match="wider_scope"):
        tokens.access_token(STOCK)


def test_a_token_that_apis_refuse_by_now_is_replaced(
    bench: Bench, now: Callable[[float], None]
) -> None:
    """An end of everybody's sessions, or a new Redis, makes all tokens from before it dead."""
    tokens = Tokens(bench)
    assert tokens.access_token(STOCK) == "read-1"
    tokens.dead.add("read-1")
    now(client_tokens.LOOK_SECONDS + 1)
    assert tokens.access_token(STOCK) == "read-2"


def test_what_can_t_be_opened_is_replaced(make_bench: MakeBench) -> None:
    """`AUTH0_SECRET` was exchanged without keeping the old key, or somebody wrote to Redis."""
    bench = make_bench()
    tokens = Tokens(bench)
    name = bench.database.keys.client_token(tokens.shared._named(STOCK.name))
    bench.database.command("HSET", name, "token", "rubbish", "attempt", "x")
    assert tokens.access_token(STOCK) == "read-1"


def test_waiting_for_another_process_is_bounded(bench: Bench) -> None:
    tokens = Tokens(bench)
    tokens._wait_seconds = 0.2
    name = tokens.shared._named(STOCK.name)
    bench.database.command("SET", bench.database.keys.client_lock(name), "a process that hangs")
    with pytest.raises(ProviderUnavailable):
        tokens.access_token(STOCK)
    assert bench.provider.client_tokens == 0


def _age(tokens: Tokens, left_seconds: float) -> None:
    """Write the token back with so much left, as time would."""
    shared = tokens.shared.read(STOCK.name)
    assert shared
    token: RouteToken = shared.token
    tokens.shared.keep(STOCK.name, shared.attempt, token, left_seconds)
