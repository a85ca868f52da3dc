"""The admin API needs the static key, or an access token of the provider with the scope."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.admin_calls import (
    ADMIN_KEY,
    AUDIENCE,
    BY_KEY,
    BY_TOKEN,
    SCOPE,
    access_token,
    ask,
    assert_problem,
    end,
)
from tests.support.fake_provider import CLIENT_ID, OTHER_KEY, FakeProvider, Reply
from tests.support.fixtures import MakeReceiver
from tests.support.receiver import Receiver

LIST = "/admin/sessions?sub=auth0%7Cdemo"
END = "/admin/sessions/end"
ALLOW = "/admin/sessions/allow"


@pytest.fixture
def bff(receiver_for: MakeReceiver) -> Receiver:
    return receiver_for(**BY_KEY, **BY_TOKEN)


@pytest.mark.parametrize(
    ("claims"),
    [
        {},
        {"typ": "JWT"},
        {"typ": "application/at+jwt"},
        {"aud": [AUDIENCE, "https://other"]},
        {"scope": None, "permissions": ["other", SCOPE]},
    ],
    ids=str,
)
def test_a_token_with_the_scope_is_accepted(bff: Receiver, claims: dict[str, Any]) -> None:
    key = bff.start()
    response = end(bff, access_token(bff, **claims), sub="auth0|demo")
    assert response.get_json() == {"ended": 1}
    assert not bff.has_session(key)


REFUSED_TOKENS: list[tuple[dict[str, Any], int, str]] = [
    ({"scope": "other"}, 403, "insufficient_scope"),
    ({"scope": None}, 403, "insufficient_scope"),
    ({"scope": f"{SCOPE}x x{SCOPE}"}, 403, "insufficient_scope"),
    ({"scope": None, "permissions": SCOPE}, 403, "insufficient_scope"),
    ({"scope": None, "permissions": [f"{SCOPE} x"]}, 403, "insufficient_scope"),
    ({"scope": [SCOPE]}, 403, "insufficient_scope"),
    ({"aud": "https://other"}, 401, "invalid_token"),
    ({"aud": None}, 401, "invalid_token"),
    ({"aud": CLIENT_ID}, 401, "invalid_token"),
    ({"iss": "https://other.example/"}, 401, "invalid_token"),
    ({"iss": None}, 401, "invalid_token"),
    ({"exp": 1}, 401, "invalid_token"),
    ({"exp": None}, 401, "invalid_token"),
    ({"sub": None}, 401, "invalid_token"),
    ({"iat": 2**40}, 401, "invalid_token"),
    ({"nbf": 2**40}, 401, "invalid_token"),
    ({"typ": "logout+jwt"}, 401, "invalid_token"),
    ({"typ": "secevent+jwt"}, 401, "invalid_token"),
    ({"events": {}}, 401, "invalid_token"),
    ({"key": OTHER_KEY}, 401, "invalid_token"),
]


def shown(value: object) -> str:
    """The id of a test must be the same in every process, so it has no address of an object."""
    return "another key" if isinstance(value, dict) and "key" in value else str(value)


@pytest.mark.parametrize(("changes", "status", "code"), REFUSED_TOKENS, ids=shown)
def test_another_token_ends_nothing(
    bff: Receiver, changes: dict[str, Any], status: int, code: str
) -> None:
    key = bff.start()
    token = access_token(bff, **changes)
    for response in (end(bff, token, everyone=True), ask(bff, "GET", LIST, key=token)):
        assert_problem(response, status, code)
        assert f'error="{code}"' in response.headers["WWW-Authenticate"]
    assert bff.has_session(key)
    assert bff.names("watermark") == set()


HEADERS = [
    None,
    "",
    "Bearer",
    "Bearer ",
    f"Bearer {ADMIN_KEY[:-1]}",
    f"Bearer {ADMIN_KEY}x",
    f"Bearer {ADMIN_KEY.upper()}",
    f"Basic {ADMIN_KEY}",
    f"Bearer {ADMIN_KEY} {ADMIN_KEY}",
    "Bearer é",
    "Bearer a.b.c",
    "Bearer eyJhbGciOiJub25lIn0.eyJzY29wZSI6ImVuZDpzZXNzaW9ucyJ9.",
    "Bearer " + "x" * 20_000,
]


@pytest.mark.parametrize("header", HEADERS, ids=range(len(HEADERS)))
def test_a_request_without_the_key_is_refused(bff: Receiver, header: str | None) -> None:
    key = bff.start()
    headers = {} if header is None else {"Authorization": header}
    for method, path in (("GET", LIST), ("POST", END), ("POST", ALLOW)):
        response = bff.client.open(path, method=method, headers=headers, json={"everyone": True})
        assert response.status_code == 401
        assert response.headers["WWW-Authenticate"].startswith('Bearer realm="machines"')
        assert_problem(response, 401, response.get_json()["code"])
    assert bff.has_session(key)


def test_a_session_cookie_is_no_key(bff: Receiver) -> None:
    cookie = bff.services.sessions.start(bff.sign_in())
    bff.client.set_cookie("session", cookie, domain="localhost")
    assert_problem(end(bff, None, everyone=True), 401, "token_missing")


def test_a_navigation_is_not_redirected_to_the_sign_in(bff: Receiver) -> None:
    headers = {"Sec-Fetch-Dest": "document", "Sec-Fetch-Mode": "navigate", "Accept": "text/html"}
    response = ask(bff, "GET", LIST, key=None, headers=headers)
    assert_problem(response, 401, "token_missing")


@pytest.mark.parametrize(
    ("settings", "status"), [({}, 404), (BY_TOKEN, 401), (BY_KEY, 200)], ids=["off", "token", "key"]
)
def test_a_credential_that_is_not_configured_is_not_accepted(
    receiver_for: MakeReceiver, settings: dict[str, str], status: int
) -> None:
    bff = receiver_for(**settings)
    assert end(bff, sub="x").status_code == status
    assert ask(bff, "GET", LIST).status_code == status


def test_a_token_is_refused_if_only_the_key_is_configured(receiver_for: MakeReceiver) -> None:
    bff = receiver_for(**BY_KEY)
    assert_problem(end(bff, access_token(bff), everyone=True), 401, "invalid_token")


@pytest.mark.next_second
def test_a_token_is_revoked_with_the_sessions_that_it_ends(bff: Receiver) -> None:
    token = access_token(bff)
    bff.services.stores.watermarks.wait_for(
        bff.services.stores.history_start.begin()
    )  # Its `iat` may lie a moment ahead.
    assert end(bff, token, everyone=True).status_code == 200
    assert_problem(end(bff, token, everyone=True), 401, "invalid_token")


def test_without_the_providers_keys_the_response_is_503(
    receiver_for: MakeReceiver, fake: FakeProvider
) -> None:
    fake.says("/jwks", lambda: Reply({}, 500))
    bff = receiver_for(**BY_KEY, **BY_TOKEN)
    key = bff.start()
    assert_problem(end(bff, access_token(bff), sub="auth0|demo"), 503, "provider_unavailable")
    assert bff.has_session(key)
    assert end(bff, sub="auth0|demo").status_code == 200, "the static key needs no provider"
