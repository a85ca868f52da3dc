"""What the provider refuses for a route, or gives unfit, is the loss of that route alone."""

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
    asked,
    failing,
    obey,
    route_answer,
)


@pytest.mark.parametrize("rule", BOTH, ids=lambda rule: rule.mode)
@pytest.mark.parametrize("error", ["invalid_grant", "invalid_target", "access_denied"])
def test_a_refusal_is_the_route_s_loss_and_remembered(
    bench: Bench, rule: TokenRule, error: str
) -> None:
    obey(bench)
    failing(bench, ProviderRejected(error, 400))
    key = bench.start()
    for _ in range(3):
        with pytest.raises(RouteTokenRefused):
            bench.access_token(bench.load(key), rule)
    assert asked(bench) == 1
    assert bench.access_token(bench.load(key)) == "access-0"
    assert bench.provider.revoked == []


@pytest.mark.parametrize("rule", BOTH, ids=lambda rule: rule.mode)
def test_a_wrong_registration_is_no_refusal(bench: Bench, rule: TokenRule) -> None:
    failing(bench, ProviderMisconfigured("unauthorized_client"))
    with pytest.raises(ProviderMisconfigured):
        bench.access_token(bench.load(bench.start()), rule)


def test_a_refusal_before_the_end_leaves_the_living_token(bench: Bench) -> None:
    obey(bench)
    key = bench.start()
    token = bench.access_token(bench.load(key), ORDERS)
    age_route_token(bench, key, 30)
    failing(bench, ProviderRejected("access_denied", 403))
    assert bench.access_token(bench.load(key), ORDERS) == token


def test_an_answer_for_another_user_ends_the_session(bench: Bench) -> None:
    """The refresh token was spent on it, so there is no way on."""
    failing(bench, IDTokenInvalid("of another user"))
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


UNFIT: dict[str, Callable[[IssuedTokens], IssuedTokens]] = {
    "wider scope": lambda a: msgspec.structs.replace(a, scope="read admin"),
    "not Bearer": lambda a: msgspec.structs.replace(a, token_type="N_A"),
    "unfit for a header": lambda a: msgspec.structs.replace(a, access_token="a\r\nX-Evil: 1"),
    # {"aud": "https://elsewhere"}
    "another API's": lambda a: msgspec.structs.replace(
        a, access_token="e30.eyJhdWQiOiAiaHR0cHM6Ly9lbHNld2hlcmUifQ.c2ln"
    ),
}


@pytest.mark.parametrize("rule", BOTH, ids=lambda rule: rule.mode)
@pytest.mark.parametrize("change", UNFIT.values(), ids=UNFIT)
def test_an_unfit_token_is_refused_and_denied(
    bench: Bench, rule: TokenRule, change: Callable[[IssuedTokens], IssuedTokens]
) -> None:
    given: list[IssuedTokens] = []

    def give(*_: object) -> IssuedTokens:
        rotated = "refresh-1" if rule.mode == "audience" else None
        given.append(change(route_answer(bench, "unfit", refresh_token=rotated)))
        return given[-1]

    bench.provider.on_audience = bench.provider.on_exchange = give
    key = bench.start()
    for _ in range(2):
        with pytest.raises(RouteTokenRefused):
            bench.access_token(bench.load(key), rule)
    [answered] = given
    assert bench.deny_list.contains(answered.access_token)
    tokens = bench.load(key).tokens
    assert tokens.route_tokens == ()
    # What was rotated is kept all the same: the old one is spent.
    assert tokens.refresh_token == (answered.refresh_token or "refresh-0")
    assert bench.provider.revoked == []


def test_login_scopes_that_a_refresh_brings_along_are_not_wider(bench: Bench) -> None:
    bench.provider.on_audience = lambda *_: route_answer(
        bench, "fit", scope="openid offline_access read"
    )
    key = bench.start()
    assert bench.access_token(bench.load(key), ORDERS) == "fit"
    assert bench.load(key).tokens.route_tokens[0].scope == "openid offline_access read"


@pytest.mark.parametrize("issued", [None, "urn:ietf:params:oauth:token-type:refresh_token"])
def test_what_an_exchange_gives_of_another_type_is_revoked(
    bench: Bench, issued: str | None
) -> None:
    bench.provider.on_exchange = lambda *_: route_answer(
        bench, "who-knows-what", issued_token_type=issued
    )
    with pytest.raises(RouteTokenRefused, match="wrong_issued_token_type"):
        bench.access_token(bench.load(bench.start()), EXCHANGED)
    assert bench.provider.revoked == ["who-knows-what"]


def test_a_refresh_token_that_an_exchange_brings_along_is_revoked_as_its_client(
    bench: Bench,
) -> None:
    clients: list[str | None] = []
    revoke = bench.provider.revoke

    def noting(refresh_token: str, *, client_id: str | None = None) -> None:
        clients.append(client_id)
        revoke(refresh_token)

    bench.provider.revoke = noting  # type: ignore[method-assign]
    rule = TokenRule(mode="exchange", audience="https://orders", client_id="obo")
    bench.provider.on_exchange = lambda *_: route_answer(bench, "t", refresh_token="unasked")
    assert bench.access_token(bench.load(bench.start()), rule) == "t"
    assert (bench.provider.revoked, clients) == (["unasked"], ["obo"])
