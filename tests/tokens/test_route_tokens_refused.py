"""What if the provider refuses a route's token, or issues an unusable one? The route fails."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from bff.config.route import TokenRule
from bff.core.errors import (
    IDTokenInvalid,
    ProviderMisconfigured,
    ProviderRejected,
    RouteTokenRefused,
    SessionEnded,
)
from bff.core.model import IssuedTokens
from bff.sessions.lifecycle import session_key
from tests.support.bench import Bench
from tests.support.route_sessions import (
    BOTH,
    EXCHANGED,
    ORDERS,
    age_route_token,
    fail_with,
    issue_numbered,
    request_count,
    route_token_response,
)


@pytest.mark.parametrize("rule", BOTH, ids=lambda rule: rule.mode)
@pytest.mark.parametrize("error", ["invalid_grant", "invalid_target", "access_denied"])
def test_a_refusal_fails_only_that_route_and_is_stored(
    bench: Bench, rule: TokenRule, error: str
) -> None:
    issue_numbered(bench)
    fail_with(bench, ProviderRejected(error, 400))
    key = bench.start()
    for _ in range(3):
        with pytest.raises(RouteTokenRefused):
            bench.access_token(bench.load(key), rule)
    assert request_count(bench) == 1
    assert bench.access_token(bench.load(key)) == "access-0"
    assert bench.provider.revoked == []


@pytest.mark.parametrize("rule", BOTH, ids=lambda rule: rule.mode)
def test_a_wrong_registration_is_no_refusal(bench: Bench, rule: TokenRule) -> None:
    fail_with(bench, ProviderMisconfigured("unauthorized_client"))
    with pytest.raises(ProviderMisconfigured):
        bench.access_token(bench.load(bench.start()), rule)


def test_after_a_refusal_the_valid_token_is_used_to_its_end(bench: Bench) -> None:
    issue_numbered(bench)
    key = bench.start()
    token = bench.access_token(bench.load(key), ORDERS)
    age_route_token(bench, key, 30)
    fail_with(bench, ProviderRejected("access_denied", 403))
    assert bench.access_token(bench.load(key), ORDERS) == token


def test_a_token_response_for_another_user_ends_the_session(bench: Bench) -> None:
    """The refresh token was spent on it, so the session can't continue."""
    fail_with(bench, IDTokenInvalid("of another user"))
    key = bench.start()
    with pytest.raises(SessionEnded):
        bench.access_token(bench.load(key), ORDERS)
    assert bench.sessions.load(key) is None


def test_without_a_refresh_token_there_is_none_for_an_audience(bench: Bench) -> None:
    sign_in = bench.sign_in()
    tokens = msgspec.structs.replace(sign_in.tokens, refresh_token=None)
    key = session_key(bench.sessions.start(msgspec.structs.replace(sign_in, tokens=tokens)))
    assert key
    with pytest.raises(RouteTokenRefused):
        bench.access_token(bench.load(key), ORDERS)
    assert bench.access_token(bench.load(key)) == "access-0"


UNUSABLE: dict[str, Callable[[IssuedTokens], IssuedTokens]] = {
    "wider scope": lambda a: msgspec.structs.replace(a, scope="read admin"),
    "not Bearer": lambda a: msgspec.structs.replace(a, token_type="N_A"),
    "not valid in a header": lambda a: msgspec.structs.replace(a, access_token="a\r\nX-Evil: 1"),
    # {"aud": "https://elsewhere"}
    "another API's": lambda a: msgspec.structs.replace(
        a, access_token="e30.eyJhdWQiOiAiaHR0cHM6Ly9lbHNld2hlcmUifQ.c2ln"
    ),
}


@pytest.mark.parametrize("rule", BOTH, ids=lambda rule: rule.mode)
@pytest.mark.parametrize("change", UNUSABLE.values(), ids=UNUSABLE)
def test_an_unusable_token_is_refused_and_denied(
    bench: Bench, rule: TokenRule, change: Callable[[IssuedTokens], IssuedTokens]
) -> None:
    issued: list[IssuedTokens] = []

    def issue(*_: object) -> IssuedTokens:
        rotated = "refresh-1" if rule.mode == "audience" else None
        issued.append(change(route_token_response(bench, "unusable", refresh_token=rotated)))
        return issued[-1]

    bench.provider.on_audience = bench.provider.on_exchange = issue
    key = bench.start()
    for _ in range(2):
        with pytest.raises(RouteTokenRefused):
            bench.access_token(bench.load(key), rule)
    [response] = issued
    assert bench.deny_list.contains(response.access_token)
    tokens = bench.load(key).tokens
    assert tokens.route_tokens == ()
    # A rotated refresh token is stored all the same: the old one is spent.
    assert tokens.refresh_token == (response.refresh_token or "refresh-0")
    assert bench.provider.revoked == []


def test_login_scopes_in_the_response_do_not_count_as_wider(bench: Bench) -> None:
    bench.provider.on_audience = lambda *_: route_token_response(
        bench, "usable", scope="openid offline_access read"
    )
    key = bench.start()
    assert bench.access_token(bench.load(key), ORDERS) == "usable"
    assert bench.load(key).tokens.route_tokens[0].scope == "openid offline_access read"


@pytest.mark.parametrize("issued_type", [None, "urn:ietf:params:oauth:token-type:refresh_token"])
def test_an_exchanged_token_of_another_type_is_revoked(
    bench: Bench, issued_type: str | None
) -> None:
    bench.provider.on_exchange = lambda *_: route_token_response(
        bench, "of-another-type", issued_token_type=issued_type
    )
    with pytest.raises(RouteTokenRefused, match="wrong_issued_token_type"):
        bench.access_token(bench.load(bench.start()), EXCHANGED)
    assert bench.provider.revoked == ["of-another-type"]


def test_a_refresh_token_that_an_exchange_returns_is_revoked_as_its_client(
    bench: Bench,
) -> None:
    clients: list[str | None] = []
    revoke = bench.provider.revoke

    def noting(refresh_token: str, *, client_id: str | None = None) -> None:
        clients.append(client_id)
        revoke(refresh_token)

    bench.provider.revoke = noting  # type: ignore[method-assign]
    rule = TokenRule(mode="exchange", audience="https://orders", client_id="obo")
    bench.provider.on_exchange = lambda *_: route_token_response(
        bench, "t", refresh_token="unasked"
    )
    assert bench.access_token(bench.load(bench.start()), rule) == "t"
    assert (bench.provider.revoked, clients) == (["unasked"], ["obo"])
