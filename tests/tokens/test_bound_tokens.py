"""Which key does a token stay bound to, over refreshes, rotations of the secret and restarts?"""

from __future__ import annotations

import msgspec
import pytest

from bff.core.dpop import BoundToken, DPoPKeys
from bff.core.model import IssuedTokens, Session
from tests.support.bench import SECRET, Bench, MakeBench, token_response
from tests.support.route_sessions import ORDERS, route_token_response

NEW_SECRET = "n" * 40
OLD = DPoPKeys([SECRET]).newest.jkt
NEW = DPoPKeys([NEW_SECRET]).newest.jkt
GONE = DPoPKeys(["g" * 40]).newest.jkt


def bound_session(bench: Bench, jkt: str, **options: int) -> Session:
    """A session whose access token is bound to the key *jkt*, as it is read again."""
    session = bench.load(bench.start(**options))
    tokens = msgspec.structs.replace(session.tokens, jkt=jkt)
    sealed = bench.records.seal_tokens(session.key, tokens)
    bench.records.replace_tokens(session.key, session.generation, "test", sealed)
    return bench.load(session.key)


def jkt_of(token: str) -> str:
    return token.jkt if isinstance(token, BoundToken) else ""


def issue(bench: Bench, jkt: str) -> None:
    def refreshed(_: str) -> IssuedTokens:
        found = token_response(len(bench.provider.refreshed), now=bench.now())
        return msgspec.structs.replace(found, jkt=jkt)

    bench.provider.on_refresh = refreshed


@pytest.mark.parametrize(
    ("secrets", "jkt"),
    [
        (SECRET, OLD),
        (f"{SECRET},{NEW_SECRET}", OLD),
        (f"{NEW_SECRET},{SECRET}", OLD),
        (f"{SECRET},{NEW_SECRET}", NEW),
        (SECRET, ""),
    ],
)
def test_a_token_is_used_with_the_key_it_was_issued_for(
    make_bench: MakeBench, secrets: str, jkt: str
) -> None:
    bench = make_bench(AUTH0_SECRET=secrets)
    token = bench.access_token(bound_session(bench, jkt, access_seconds=200))
    assert (token, jkt_of(token)) == ("access-0", jkt)
    assert bench.provider.refreshed == []


def test_a_token_whose_key_is_gone_is_renewed_at_once(bench: Bench) -> None:
    """Its secret was removed; the refresh token of a confidential client is bound to no key."""
    issue(bench, OLD)
    session = bound_session(bench, GONE, access_seconds=200)
    token = bench.access_token(session)
    assert (token, jkt_of(token)) == ("access-1", OLD)
    again = bench.access_token(bench.load(session.key))
    assert (again, jkt_of(again)) == ("access-1", OLD)
    assert bench.provider.refreshed == ["refresh-0"]


@pytest.mark.parametrize(("before", "after"), [("", OLD), (OLD, ""), (OLD, OLD)])
@pytest.mark.parametrize("left", [-1, 30])
def test_a_refresh_may_change_whether_the_token_is_bound(
    bench: Bench, before: str, after: str, left: int
) -> None:
    issue(bench, after)
    session = bound_session(bench, before, access_seconds=left)
    assert jkt_of(bench.access_token(session)) == after
    assert bench.load(session.key).tokens.jkt == after


def test_a_route_token_beside_it_changes_nothing(bench: Bench) -> None:
    bench.provider.on_audience = lambda _, __: msgspec.structs.replace(
        route_token_response(bench, "for-orders", refresh_token="next"), jkt=OLD
    )
    session = bound_session(bench, OLD, access_seconds=200)
    token = bench.access_token(session, ORDERS)
    assert (token, jkt_of(token)) == ("for-orders", OLD)
    tokens = bench.load(session.key).tokens
    assert (tokens.jkt, tokens.refresh_token) == (OLD, "next")
    assert [one.jkt for one in tokens.route_tokens] == [OLD]


def test_a_route_token_whose_key_is_gone_is_renewed_at_once(bench: Bench) -> None:
    bench.provider.on_audience = lambda _, __: msgspec.structs.replace(
        route_token_response(bench, f"n-{len(bench.provider.refreshed)}"), jkt=keys.pop(0)
    )
    keys = [GONE, OLD]
    key = bench.start()
    bench.access_token(bench.load(key), ORDERS)
    token = bench.access_token(bench.load(key), ORDERS)
    assert (token, jkt_of(token)) == ("n-2", OLD)
