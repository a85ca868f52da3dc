"""Each token mode through a whole installation: what the API sees, and what a logout revokes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.support.ageing import age_access_token, run_out, stored_tokens
from tests.support.api_callers import ASKING, by_introspection, by_token_check, introspect
from tests.support.browser_client import FETCH, TIMEOUT_SECONDS, BrowserClient
from tests.support.cluster import AUDIENCE, CLIENT_ID
from tests.support.gateway import EXCHANGE_CLIENT, ORDERS, REPORTS, STOCK, Gateway
from tests.support.waiting import wait_for

OF_A_USER = {"/api": AUDIENCE, "/api/orders": ORDERS, "/api/reports": REPORTS}
FOR_SIGNED_IN = (*OF_A_USER, "/api/stock")


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    with Gateway(2, env=ASKING) as started:
        yield started


@pytest.fixture
def browser(gateway: Gateway) -> Iterator[BrowserClient]:
    gateway.control("DELETE", "faults")
    browser = gateway.browser()
    browser.log_in()
    yield browser
    gateway.control("DELETE", "faults")


def claims(browser: BrowserClient, prefix: str, **options: Any) -> dict[str, Any]:
    response = browser.fetch("GET", f"{prefix}/whoami", **options)
    assert response.status_code == 200, response.text
    return dict(response.json()["claims"])


def audiences(seen: dict[str, Any]) -> list[str]:
    named = seen["aud"]
    return list(named) if isinstance(named, list) else [named]


def bearer(gateway: Gateway, audience: str, token: str) -> int:
    """The API's response to a token, without the BFF."""
    return requests.get(
        f"{gateway.apis[audience]}/whoami",
        headers={"Authorization": f"Bearer {token}"},
        timeout=TIMEOUT_SECONDS,
    ).status_code


def checked(gateway: Gateway, audience: str, token: str) -> set[int]:
    """The statuses from each way in which an API can check a token."""
    return {
        bearer(gateway, audience, token),
        by_introspection(gateway, token, audience=audience),
        by_token_check(gateway, token, replica=1, audience=audience),
    }


def refuse(gateway: Gateway, error: str, **order: str) -> None:
    gateway.control(
        "POST", "faults", endpoint="token", do="status", status=403,
        body={"error": error}, times=1000, **order,
    )  # fmt: skip


# ---------------------------------------------------------------- what each API sees
@pytest.mark.parametrize("prefix", OF_A_USER)
def test_each_api_gets_a_token_of_the_user_for_itself(browser: BrowserClient, prefix: str) -> None:
    seen = claims(browser, prefix)
    assert seen["sub"] == "auth0|demo"
    assert audiences(seen)[0] == OF_A_USER[prefix]


def test_scope_and_client_are_the_routes(browser: BrowserClient) -> None:
    orders, reports = claims(browser, "/api/orders"), claims(browser, "/api/reports")
    assert (orders["scope"], orders["azp"]) == ("read:orders write:orders", CLIENT_ID)
    assert (reports["scope"], reports["azp"]) == ("read:reports", EXCHANGE_CLIENT)


def test_a_client_token_is_shared_and_contains_nothing_of_the_user(
    gateway: Gateway, browser: BrowserClient
) -> None:
    other = gateway.browser()
    other.log_in()
    seen = [claims(b, "/api/stock", replica=r) for b in (browser, other) for r in (0, 1)]
    assert all(one == seen[0] for one in seen)
    assert seen[0]["sub"] == f"{CLIENT_ID}@clients"
    assert audiences(seen[0]) == [STOCK]


@pytest.mark.parametrize("prefix", FOR_SIGNED_IN)
def test_without_a_session_there_is_no_way_in(gateway: Gateway, prefix: str) -> None:
    response = gateway.browser().fetch("GET", f"{prefix}/whoami")
    assert (response.status_code, response.json()["code"]) == (401, "session_missing")


@pytest.mark.parametrize("prefix", [*FOR_SIGNED_IN, "/api/both"])
def test_another_site_is_refused(browser: BrowserClient, prefix: str) -> None:
    response = browser.fetch("GET", f"{prefix}/whoami", headers={"Sec-Fetch-Site": "cross-site"})
    assert (response.status_code, response.json()["code"]) == (403, "cross_site")


# ---------------------------------------------------------------- optional and none
def test_optional_gives_the_users_token_or_none(gateway: Gateway, browser: BrowserClient) -> None:
    assert claims(browser, "/api/both")["sub"] == "auth0|demo"
    stranger = gateway.browser()
    response = stranger.fetch("GET", "/api/both/whoami")
    assert (response.status_code, response.json()["claims"]) == (200, {})
    assert "Cookie" in response.headers["Vary"]
    assert response.headers["Cache-Control"] == "private, no-store"


def test_optional_admits_anonymous_requests_from_other_sites(gateway: Gateway) -> None:
    """They send no cookie that could be abused."""
    response = gateway.browser().fetch(
        "GET", "/api/both/whoami", headers={"Sec-Fetch-Site": "cross-site"}
    )
    assert response.status_code == 200


@pytest.mark.parametrize("how", ["ended", "unknown", "run out", "rubbish"])
def test_optional_treats_an_ended_session_as_none(
    gateway: Gateway, browser: BrowserClient, how: str
) -> None:
    cookie = browser.cookie
    if how == "ended":
        browser.log_out()
    elif how == "run out":
        run_out(gateway, cookie)
    sent = {"unknown": "A" * 43, "rubbish": "x"}.get(how, cookie)

    def asked() -> bool:
        response = requests.get(
            f"{gateway.url()}/api/both/whoami", headers=FETCH,
            cookies={"session": sent or ""}, timeout=TIMEOUT_SECONDS,
        )  # fmt: skip
        assert response.status_code == 200
        return bool(response.json()["claims"] == {})

    assert asked()


def test_promise_5_while_redis_is_away_no_user_becomes_anonymous(
    gateway: Gateway, browser: BrowserClient
) -> None:
    stranger = gateway.browser()
    gateway.redis.pause()
    try:
        # A process may trust a cached session for a moment longer.
        wait_for(
            lambda: browser.fetch("GET", "/api/both/whoami").status_code != 200, "it is noticed"
        )
        response = browser.fetch("GET", "/api/both/whoami")
        assert (response.status_code, response.json()["code"]) == (503, "store_unavailable")
        assert stranger.fetch("GET", "/api/both/whoami").json()["claims"] == {}
        assert browser.fetch("GET", "/api/open/whoami").status_code == 200
    finally:
        gateway.redis.resume()
    wait_for(lambda: browser.fetch("GET", "/api/both/whoami").status_code == 200, "Redis is back")
    assert claims(browser, "/api/both")["sub"] == "auth0|demo"


def test_none_gets_no_token_even_with_a_session(browser: BrowserClient) -> None:
    response = browser.fetch("GET", "/api/open/whoami")
    assert (response.status_code, response.json()["claims"]) == (200, {})
    assert "authorization" not in [name.lower() for name in response.json()["header_names"]]


def test_none_streams_without_a_session_and_past_a_logout(
    gateway: Gateway, browser: BrowserClient
) -> None:
    """A stream without a session doesn't end with one."""
    url = f"{gateway.url()}/api/open/events?interval_ms=50"
    cookie = browser.cookie or ""
    with requests.get(
        url, headers=FETCH, cookies={"session": cookie}, stream=True, timeout=TIMEOUT_SECONDS
    ) as stream:
        lines = stream.iter_lines()
        assert stream.status_code == 200
        assert next(lines)
        browser.log_out()
        numbers = [line for line in (next(lines) for _ in range(120)) if b"data:" in line]
    assert len(numbers) > 30


# ---------------------------------------------------------------- refused, and away
@pytest.mark.parametrize(
    ("prefix", "order"),
    [
        ("/api/orders", {"grant_type": "refresh_token", "audience": ORDERS}),
        ("/api/reports", {"client_id": EXCHANGE_CLIENT}),
    ],
)
@pytest.mark.parametrize("error", ["access_denied", "invalid_grant"])
def test_a_refusal_is_a_403_and_ends_nothing(
    gateway: Gateway, browser: BrowserClient, prefix: str, order: dict[str, str], error: str
) -> None:
    refuse(gateway, error, **order)
    before = gateway.counts()["token"]
    for replica in (0, 1, 0):
        response = browser.fetch("GET", f"{prefix}/whoami", replica=replica)
        assert (response.status_code, response.json()["code"]) == (403, "route_token_refused")
        assert "login_url" not in response.json()
    assert gateway.counts()["token"] == before + 1
    assert claims(browser, "/api")["sub"] == "auth0|demo"
    gateway.control("DELETE", "faults")
    age_access_token(gateway, browser.cookie, 0)
    assert claims(browser, "/api")["sub"] == "auth0|demo"


@pytest.mark.parametrize("wrong", [
    {"issued_token_type": "urn:ietf:params:oauth:token-type:refresh_token"},
    {"issued_token_type": None},
    {"token_type": "N_A"},
    {"scope": "read:reports admin"},
], ids=str)  # fmt: skip
def test_an_exchange_that_returns_something_else_is_refused(
    gateway: Gateway, browser: BrowserClient, wrong: dict[str, Any]
) -> None:
    body = {
        "access_token": "something-else", "token_type": "Bearer", "expires_in": 300,
        "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
    } | wrong  # fmt: skip
    gateway.control(
        "POST", "faults", endpoint="token", do="status", status=200, body=body,
        client_id=EXCHANGE_CLIENT,
    )  # fmt: skip
    response = browser.fetch("GET", "/api/reports/whoami")
    assert (response.status_code, response.json()["code"]) == (403, "route_token_refused")
    assert claims(browser, "/api")


@pytest.mark.parametrize("prefix", ["/api/orders", "/api/reports"])
def test_a_provider_that_is_away_is_a_503_until_it_is_back(
    gateway: Gateway, browser: BrowserClient, prefix: str
) -> None:
    gateway.control("POST", "faults", endpoint="token", do="status", status=503, times=1000)
    response = browser.fetch("GET", f"{prefix}/whoami")
    assert (response.status_code, response.json()["code"]) == (503, "provider_unavailable")
    assert int(response.headers["Retry-After"]) > 0
    gateway.control("DELETE", "faults")
    wait_for(
        lambda: browser.fetch("GET", f"{prefix}/whoami").status_code == 200, "the next try works"
    )


def test_a_wrong_registration_has_its_own_code(gateway: Gateway, browser: BrowserClient) -> None:
    refuse(gateway, "unauthorized_client", client_id=EXCHANGE_CLIENT)
    response = browser.fetch("GET", "/api/reports/whoami")
    assert (response.status_code, response.json()["code"]) == (502, "provider_misconfigured")


# ---------------------------------------------------------------- the end
@pytest.mark.parametrize("renewed", [False, True], ids=["as it is", "after a renewal"])
def test_a_logout_makes_every_token_of_the_session_refused_at_its_api(
    gateway: Gateway, browser: BrowserClient, renewed: bool
) -> None:
    for prefix in FOR_SIGNED_IN:
        claims(browser, prefix)
    held = stored_tokens(gateway, browser.cookie)
    stolen = {AUDIENCE: [held.access_token]}
    by_name = {one.name.split()[0]: one.access_token for one in held.route_tokens}
    stolen |= {ORDERS: [by_name["audience"]], REPORTS: [by_name["exchange"]]}
    if renewed:
        age_access_token(gateway, browser.cookie, 0, routes_too=True)
        for prefix in OF_A_USER:
            claims(browser, prefix, replica=1)
        later = stored_tokens(gateway, browser.cookie)
        stolen[AUDIENCE].append(later.access_token)
        for one in later.route_tokens:
            stolen[ORDERS if one.name.startswith("audience") else REPORTS].append(one.access_token)
    everything = [(api, token) for api, tokens in stolen.items() for token in tokens]
    assert len(set(everything)) == (6 if renewed else 3)
    assert [checked(gateway, *one) for one in everything] == [{200}] * len(everything)
    assert browser.log_out().status_code == 200
    assert [checked(gateway, *one) for one in everything] == [{401}] * len(everything)
    # The BFF's own token belongs to no session.
    other = gateway.browser()
    other.log_in()
    assert claims(other, "/api/stock")


def test_an_api_learns_only_about_tokens_for_itself(
    gateway: Gateway, browser: BrowserClient
) -> None:
    claims(browser, "/api/orders")
    token = stored_tokens(gateway, browser.cookie).route_tokens[0].access_token
    for audience, status in ((ORDERS, 200), (REPORTS, 401), (None, 401), (AUDIENCE, 401)):
        assert by_introspection(gateway, token, audience=audience) == status
        assert by_token_check(gateway, token, audience=audience) == status
    # About tokens for any other audience, the BFF knows nothing.
    for unknown in ("https://elsewhere.example", "", CLIENT_ID):
        response = introspect(gateway, {"token": token}, audience=unknown)
        assert (response.status_code, response.json()) == (400, {"error": "invalid_request"})
        assert by_token_check(gateway, token, audience=unknown) == 400
    both = f"{ORDERS}&audience={REPORTS}"
    response = requests.get(
        f"{gateway.url()}/auth/check-token?audience={both}",
        headers={"Authorization": f"Bearer {token}"},
        timeout=TIMEOUT_SECONDS,
    )
    assert (response.status_code, response.json()["code"]) == (400, "request_refused")


def test_tokens_are_sealed_and_the_browser_sees_none(
    gateway: Gateway, browser: BrowserClient
) -> None:
    seen = "".join(
        str(response.headers) + response.text
        for response in (browser.fetch("GET", f"{prefix}/whoami") for prefix in FOR_SIGNED_IN)
    )
    issued = [token["value"] for token in gateway.issued("access_token")]
    assert len(issued) >= 4
    store = gateway.store()
    kept = b"".join(
        json.dumps({str(k): str(v) for k, v in store.hgetall(key).items()}).encode()
        for kind in ("session", "client-token")
        for key in gateway.keys(kind)
    )
    assert not [token for token in issued if token in seen or token.encode() in kept]
