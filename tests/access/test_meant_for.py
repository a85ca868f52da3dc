"""A request that names a session is done in that session, or not at all."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from tests.support.browser_client import BrowserClient
from tests.support.gateway import Gateway

ITEM = {"title": "Tea"}


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    with Gateway(2) as started:
        yield started


@pytest.fixture
def browser(gateway: Gateway) -> BrowserClient:
    browser = gateway.browser()
    browser.log_in()
    return browser


def session_id(browser: BrowserClient) -> str:
    return str(browser.profile().json()["session"]["id"])


def ask(browser: BrowserClient, method: str, path: str, meant_for: str) -> requests.Response:
    json = ITEM if method == "POST" else None
    return browser.fetch(method, path, headers={"X-BFF-Session": meant_for}, json=json, replica=1)


def items(browser: BrowserClient) -> int:
    return len(browser.api("/items").json()["items"])


@pytest.mark.parametrize("meant_for", ["another's", "earlier", "unknown", "", "ä"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/items"), ("GET", "/api/items"), ("POST", "/api/both/items"),
        ("DELETE", "/auth/sessions/x"), ("GET", "/auth/profile"),
    ],
)  # fmt: skip
def test_a_request_for_another_session_is_refused_and_nothing_done(
    gateway: Gateway, browser: BrowserClient, method: str, path: str, meant_for: str
) -> None:
    if meant_for == "another's":
        other = gateway.browser()
        other.log_in()
        meant_for = session_id(other)
    elif meant_for == "earlier":
        meant_for = session_id(browser)
        browser.log_in()
    before = items(browser)
    response = ask(browser, method, path, meant_for.encode().decode("latin-1"))
    assert (response.status_code, response.json()["code"]) == (409, "session_changed")
    assert response.headers["Cache-Control"] == "no-store"
    assert items(browser) == before
    assert browser.profile().status_code == 200, "no session has ended"


def test_a_request_for_the_cookies_session_passes(browser: BrowserClient) -> None:
    named = session_id(browser)
    before = items(browser)
    assert ask(browser, "POST", "/api/items", named).status_code == 201
    assert items(browser) == before + 1
    assert ask(browser, "GET", "/auth/sessions", named).status_code == 200
    response = ask(browser, "GET", "/api/both/whoami", named)
    assert response.json()["claims"]["sub"] == "auth0|demo"


def test_a_logout_is_never_refused_for_that(browser: BrowserClient) -> None:
    assert ask(browser, "POST", "/auth/logout", "another").status_code == 200
    assert browser.profile().status_code == 401


def test_what_is_meant_for_a_session_is_not_done_anonymously(
    gateway: Gateway, browser: BrowserClient
) -> None:
    """On a route with `token = "optional"`, on which the same request without it passes."""
    named = session_id(browser)
    stranger = gateway.browser()
    response = ask(stranger, "GET", "/api/both/whoami", named)
    assert (response.status_code, response.json()["code"]) == (401, "session_missing")
    cookies = dict(browser.here.cookies)
    browser.log_out()
    browser.here.cookies.update(cookies)
    response = ask(browser, "GET", "/api/both/whoami", named)
    assert (response.status_code, response.json()["code"]) == (401, "session_ended")
    assert browser.fetch("GET", "/api/both/whoami").status_code == 200


def test_a_refusal_is_in_the_audit_log(gateway: Gateway, browser: BrowserClient) -> None:
    ask(browser, "POST", "/api/items", "another")
    gateway.replicas[1].wait_for_output('"reason": "session_changed"')
