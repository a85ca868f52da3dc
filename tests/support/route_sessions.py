"""How does a test get routes with tokens of their own, and a provider that issues these?"""

from __future__ import annotations

import msgspec

from bff.config.route import ACCESS_TOKEN_TYPE, TokenRule
from bff.core.errors import BFFError
from bff.core.model import IssuedTokens
from tests.support.bench import Bench, token_response

ORDERS = TokenRule(mode="audience", audience="https://orders", scope="read write")
BILLS = TokenRule(mode="audience", audience="https://bills")
EXCHANGED = TokenRule(mode="exchange", audience="https://orders", scope="read")
BOTH = [ORDERS, EXCHANGED]
EXPIRED = {"access_seconds": -1}


def route_token_response(
    bench: Bench, token: str, *, seconds: int = 300, **changes: object
) -> IssuedTokens:
    usual = IssuedTokens(
        access_token=token,
        issued_at=bench.now(),
        expires_at=bench.now() + seconds,
        issued_token_type=ACCESS_TOKEN_TYPE,
    )
    return msgspec.structs.replace(usual, **changes)


def issue_numbered(bench: Bench, *, seconds: int = 300) -> None:
    """Let the provider rotate refresh tokens, and number the tokens that it issues."""

    def for_audience(_: str, rule: TokenRule) -> IssuedTokens:
        number = len(bench.provider.refreshed)
        token = f"{rule.audience}#{number}"
        return route_token_response(
            bench, token, seconds=seconds, refresh_token=f"refresh-{number}"
        )

    def exchange(_: str, rule: TokenRule) -> IssuedTokens:
        token = f"{rule.audience}#x{len(bench.provider.exchanged)}"
        return route_token_response(bench, token, seconds=seconds)

    bench.provider.on_audience = for_audience
    bench.provider.on_exchange = exchange
    bench.provider.on_refresh = lambda _: token_response(
        len(bench.provider.refreshed), now=bench.now()
    )


def fail_with(bench: Bench, error: BFFError) -> None:
    def fail(*_: object) -> IssuedTokens:
        raise error

    bench.provider.on_audience = bench.provider.on_exchange = fail


def request_count(bench: Bench) -> int:
    return len(bench.provider.refreshed) + len(bench.provider.exchanged)


def age_route_token(bench: Bench, key: str, left_seconds: int) -> None:
    session = bench.load(key)
    ends_at = bench.now() + left_seconds
    aged = tuple(
        msgspec.structs.replace(t, expires_at=ends_at, issued_at=ends_at - 300)
        for t in session.tokens.route_tokens
    )
    tokens = msgspec.structs.replace(session.tokens, route_tokens=aged)
    sealed = bench.records.seal_tokens(key, tokens)
    bench.database.command("HSET", bench.database.keys.session(key), "tokens", sealed)
