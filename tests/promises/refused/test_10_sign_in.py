"""Promise 10: only the sign-in that this browser began gives a session."""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
import requests

from tests.promises.refused.conftest import PROVIDER_TIMEOUT_SECONDS
from tests.promises.refused.signing_in import (
    Attempt,
    attempt,
    login_cookies,
    opened,
    put_login_cookies,
    sealed,
)
from tests.support.browser_client import NAVIGATION
from tests.support.cluster import Cluster
from tests.support.refusal import assert_quiet_logs, assert_refused

pytestmark = pytest.mark.usefixtures("nothing_left")


@pytest.fixture
def begun(cluster: Cluster) -> Iterator[Attempt]:
    made = attempt(cluster)
    yield made
    cluster.control("DELETE", "faults")
    assert_quiet_logs(cluster, [*made.secrets, made.query("code")])


# ---------------------------------------------------------------- the callback's parameters


@pytest.mark.parametrize(
    "changes",
    [
        {"state": None},
        {"state": "A" * 43},
        {"state": "\x00\r\n"},
        {"state": "é" * 20},
        {"state": "A" * 20_000},
        {"state": " ", "code": None, "error": "access_denied"},
        {"state": "bogus", "code": None, "error": "access_denied"},
        {"state": "bogus", "code": None, "error": "<script>"},
    ],
    ids=["none", "foreign", "controls", "not ASCII", "huge", "error, blank", "error with bogus",
         "hostile error with bogus"],
)  # fmt: skip
def test_promise_10_a_callback_whose_state_is_not_ours(
    begun: Attempt, changes: dict[str, str | None]
) -> None:
    """The state is checked first, before `error`, and the code isn't used."""
    before = begun.cluster.counts()
    response = begun.browser.come_back(begun.with_query(**changes))
    begun.assert_failed(response, 400, "state_invalid")
    assert begun.cluster.counts() == before, "the provider was asked"
    # The original response still works.
    assert begun.browser.come_back(begun.location).status_code == 303
    assert begun.browser.log_out().status_code == 200


def test_promise_10_an_error_without_state_leads_to_the_app_and_ends_nothing(
    begun: Attempt,
) -> None:
    """Such a link belongs to no sign-in; the honest one goes on."""
    before = begun.cluster.counts()
    location = begun.with_query(state=None, code=None, error="access_denied")
    response = begun.browser.come_back(location)
    assert (response.status_code, response.headers["Location"]) == (303, "/?error=access_denied")
    assert "Set-Cookie" not in response.headers
    assert begun.cluster.counts() == before, "the provider was asked"
    assert begun.browser.come_back(begun.location).status_code == 303
    assert begun.browser.log_out().status_code == 200


@pytest.mark.parametrize("raw", ["%ff", "%ed%a0%80", "%", "%zz", "a&state=b", "&state", "[]"])
def test_promise_10_a_callback_whose_state_can_t_be_read(begun: Attempt, raw: str) -> None:
    location = begun.with_query(state=None) + f"&state={raw}"
    begun.assert_failed(begun.browser.come_back(location), 400, "state_invalid")


def test_promise_10_a_callback_with_the_state_twice(begun: Attempt) -> None:
    location = f"{begun.location}&state={begun.query('state')}"
    begun.assert_failed(begun.browser.come_back(location), 400, "state_invalid")


@pytest.mark.parametrize(
    ("more", "status", "code"),
    [
        ("&code=other", 400, "parameter_invalid"),
        ("&error=a&error=b", 400, "parameter_invalid"),
        ("&iss=https://wrong.example/&iss=b", 400, "parameter_invalid"),
        ("&error=access_denied", 403, "sign_in_denied"),
        ("&error=%3Cscript%3Ealert(1)%3C/script%3E", 403, "sign_in_denied"),
        ("&error=" + "a" * 5_000, 403, "sign_in_denied"),
        ("&error=%ff%00", 403, "sign_in_denied"),
    ],
)
def test_promise_10_a_callback_with_more_than_belongs_to_it(
    begun: Attempt, more: str, status: int, code: str
) -> None:
    response = begun.browser.come_back(begun.location + more)
    begun.assert_failed(response, status, code)
    assert "alert(1)" not in response.text


@pytest.mark.parametrize("value", [None, "", "A" * 5_000])
def test_promise_10_a_callback_without_a_usable_code(begun: Attempt, value: str | None) -> None:
    response = begun.browser.come_back(begun.with_query(code=value))
    begun.assert_failed(response, 400, "parameter_invalid")


@pytest.mark.parametrize(
    "iss", ["https://wrong.example/", "%00", "http://127.0.0.1", "{issuer}x", "{issuer}/"]
)
def test_promise_10_a_callback_of_another_provider(begun: Attempt, iss: str) -> None:
    before = begun.cluster.counts()
    location = begun.with_query(iss=iss.format(issuer=begun.cluster.issuer))
    begun.assert_failed(begun.browser.come_back(location), 400, "issuer_mismatch")
    assert begun.cluster.counts() == before, "the code went to a provider"


def test_promise_10_a_callback_in_another_browser(begun: Attempt, cluster: Cluster) -> None:
    """With and without a sign-in that the other browser has begun."""
    stranger, other = cluster.browser(), attempt(cluster)
    assert_refused(stranger.come_back(begun.location), 400, "state_invalid")
    assert_refused(other.browser.come_back(begun.location), 400, "state_invalid")
    assert stranger.cookie is other.browser.cookie is None
    assert begun.browser.come_back(begun.location).status_code == 303
    assert begun.browser.log_out().status_code == 200


def test_promise_10_a_callback_replayed(begun: Attempt) -> None:
    """The browser deletes the login cookie; the new session stays."""
    cookies = login_cookies(begun.browser)
    assert begun.browser.come_back(begun.location).status_code == 303
    session = begun.browser.cookie or ""
    put_login_cookies(begun.browser, {})
    assert_refused(begun.browser.come_back(begun.location), 400, "state_invalid")
    # With a copy of the cookie the provider refuses: a code can be used once.
    put_login_cookies(begun.browser, cookies)
    response = begun.browser.come_back(begun.location)
    assert response.status_code in (400, 502), response.text
    assert begun.browser.cookie is None
    begun.browser.here.cookies.set("session", session, domain="localhost.local", path="/")
    assert begun.browser.log_out().status_code == 200
    begun.assert_no_token_left()


# ---------------------------------------------------------------- the transaction's cookie


def flipped(value: str) -> str:
    raw = bytearray(base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)))
    raw[len(raw) // 2] ^= 1
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


TAMPERED: dict[str, Callable[[str, str, Attempt], str]] = {
    "empty": lambda name, value, begun: "",
    "a word": lambda name, value, begun: "forged",
    "truncated": lambda name, value, begun: value[:-1],
    "cut in half": lambda name, value, begun: value[: len(value) // 2],
    "without its beginning": lambda name, value, begun: value[1:],
    "longer": lambda name, value, begun: value + "AAAA",
    "one bit flipped": lambda name, value, begun: flipped(value),
    "plain": lambda name, value, begun: msgspec.json.encode(
        opened(begun.cluster, name, value)
    ).hex(),
    "not ASCII": lambda name, value, begun: "\xe9" * 40,
    "oversized": lambda name, value, begun: "A" * 50_000,
    "another key": lambda name, value, begun: sealed(
        secrets.token_hex(32), name, opened(begun.cluster, name, value)
    ),
    "another use of our key": lambda name, value, begun: sealed(
        begun.cluster.secret, name, opened(begun.cluster, name, value), "logout state"
    ),
    "too old": lambda name, value, begun: sealed(
        begun.cluster.secret,
        name,
        msgspec.structs.replace(
            opened(begun.cluster, name, value), started_at=int(time.time()) - 3601
        ),
    ),
}


@pytest.mark.parametrize("tamper", TAMPERED.values(), ids=TAMPERED.keys())
def test_promise_10_a_login_cookie_that_is_not_ours(
    begun: Attempt, tamper: Callable[[str, str, Attempt], str]
) -> None:
    ((name, value),) = login_cookies(begun.browser).items()
    before = begun.cluster.counts()
    tampered = tamper(name, value, begun)
    response = requests.get(
        begun.location,
        headers=NAVIGATION | {"Cookie": f"{name}={tampered}".encode("latin-1")},
        allow_redirects=False,
    )
    # Granian hides a header that isn't ASCII.
    expected = (400, "state_invalid") if tampered.isascii() else (401, "cookies_unreadable")
    begun.assert_failed(response, *expected)
    assert begun.cluster.counts() == before, "the provider was asked"
    assert begun.browser.come_back(begun.location).status_code == 303
    assert begun.browser.log_out().status_code == 200


def test_promise_10_login_cookies_swapped_between_two_tabs(begun: Attempt) -> None:
    begun.browser.authorize_url("/auth/login?returnTo=/other")
    (one, one_value), (two, two_value) = login_cookies(begun.browser).items()
    put_login_cookies(begun.browser, {one: two_value, two: one_value})
    begun.assert_failed(begun.browser.come_back(begun.location), 400, "state_invalid")


# ---------------------------------------------------------------- the ID token

FORGED: dict[str, dict[str, Any]] = {
    "no signature": {"alg": "none"},
    "our public key as a secret": {"alg": "HS256-with-public-key"},
    "another key": {"alg": "RS256-with-other-key"},
    "another audience": {"override": {"aud": "somebody-else"}},
    "audiences without us": {"override": {"aud": ["a", "b"]}},
    "no audience": {"override": {"aud": None}},
    "another nonce": {"override": {"nonce": "wrong"}},
    "no nonce": {"override": {"nonce": None}},
    "expired": {"override": {"exp": 1_000_000_000}},
    "no end": {"override": {"exp": None}},
    "from the future": {"override": {"iat": 9_999_999_999}},
    "another issuer": {"override": {"iss": "https://wrong.example/"}},
    "no issuer": {"override": {"iss": None}},
    "no subject": {"override": {"sub": None}},
    "another party": {"override": {"azp": "somebody-else"}},
    "a key of its own": {"header": {"jwk": {"kty": "oct", "k": "AAAA"}, "kid": None}},
    "an unknown key": {"header": {"kid": "unknown"}},
    "critical extension": {"header": {"crit": ["x"], "x": 1}},
    "missing": {"omit": True},
}
AGREEABLE = {"a key of its own"}
"""The signature is valid for the key in the header, which must be ignored."""


@pytest.mark.parametrize("name", FORGED)
def test_promise_10_a_forged_id_token(begun: Attempt, name: str) -> None:
    begun.cluster.control("POST", "id_token", **FORGED[name])
    response = begun.browser.come_back(begun.location)
    if name in AGREEABLE:
        assert response.status_code == 303
        assert begun.browser.log_out().status_code == 200
        return
    begun.assert_failed(response, 502, "id_token_invalid")
    assert response.headers["Content-Type"].startswith("text/html")
    # Another attempt succeeds.
    again = begun.browser.log_in()
    assert again.status_code == 303
    assert begun.browser.log_out().status_code == 200


def test_promise_10_a_silent_sign_in_that_is_forged_brings_the_spa_back(cluster: Cluster) -> None:
    begun = attempt(cluster)
    assert begun.browser.come_back(begun.location).status_code == 303
    silent = begun.browser.at_provider.get(
        begun.browser.authorize_url("/auth/login?prompt=none&returnTo=/page"),
        allow_redirects=False,
    )
    cluster.control("POST", "id_token", alg="none")
    before = begun.browser.cookie
    response = begun.browser.come_back(silent.headers["Location"])
    assert response.status_code == 303
    assert response.headers["Location"] == "/page?error=id_token_invalid"
    assert begun.browser.cookie == before
    assert begun.browser.profile().status_code == 200
    assert begun.browser.log_out().status_code == 200
    begun.assert_no_token_left()


# ---------------------------------------------------------------- the provider fails

FAILURES: dict[str, tuple[dict[str, Any], int, str]] = {
    "500": ({"do": "status", "status": 500}, 503, "provider_unavailable"),
    "429": ({"do": "status", "status": 429, "headers": {"Retry-After": "3"}}, 503,
            "provider_unavailable"),
    "rubbish": ({"do": "garbage"}, 503, "provider_unavailable"),
    "no answer": ({"do": "hang"}, 503, "provider_unavailable"),
    "hangs up before": ({"do": "drop_before"}, 503, "provider_unavailable"),
    "hangs up after": ({"do": "drop_after"}, 503, "provider_unavailable"),
    "drips": ({"do": "drip", "seconds": 0.1}, 503, "provider_unavailable"),
    "wrong client": ({"do": "status", "status": 401, "body": {"error": "invalid_client"}}, 502,
                     "provider_misconfigured"),
    "bad code": ({"do": "status", "status": 400, "body": {"error": "invalid_grant"}}, 502,
                 "provider_rejected"),
    "odd error": ({"do": "status", "status": 400, "body": {"error": "<b>new</b>"}}, 502,
                  "provider_rejected"),
    "not JSON": ({"do": "status", "status": 400, "body": "<h1>Bad gateway at 10.0.0.7</h1>"}, 503,
                 "provider_unavailable"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAILURES)
def test_promise_10_the_provider_fails_during_a_sign_in(begun: Attempt, name: str) -> None:
    fault, status, code = FAILURES[name]
    begun.cluster.control("POST", "faults", endpoint="token", times=9, **fault)
    began = time.monotonic()
    response = begun.browser.come_back(begun.location)
    assert time.monotonic() - began < 2 * PROVIDER_TIMEOUT_SECONDS
    assert_refused(response, status, code)
    assert begun.browser.cookie is None
    assert "10.0.0.7" not in response.text
    begun.cluster.control("DELETE", "faults")
    assert begun.browser.log_in().status_code == 303
    assert begun.browser.log_out().status_code == 200
