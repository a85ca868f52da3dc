"""Over https the browser accepts the hardened cookies, and a logout deletes them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.browser.installation import Installation, installation
from tests.browser.whole_flow import session_cookie, sign_in, sign_out
from tests.support.certificate import Certificate

SESSION = "__Host-Http-session"
ABSOLUTE_SECONDS = 7200


@pytest.fixture(scope="module")
def secure(certificate: Certificate) -> Iterator[Installation]:
    with installation(certificate) as started:
        yield started


@pytest.fixture
def page(https_browser: Browser) -> Iterator[Page]:
    context = https_browser.new_context()
    yield context.new_page()
    context.close()


def stored(page: Page, origin: str) -> dict[str, dict[str, Any]]:
    """The cookies that the browser stores for *origin*, by name."""
    devtools = page.context.new_cdp_session(page)
    cookies = devtools.send("Network.getCookies", {"urls": [origin]})["cookies"]
    devtools.detach()
    return {cookie["name"]: cookie for cookie in cookies}


def profile_response(page: Page) -> list[Any]:
    """Status and code of `/auth/profile`, as a script of the page gets them."""
    script = "fetch('/auth/profile').then(async (r) => [r.status, (await r.json()).code])"
    response: list[Any] = page.evaluate(script)
    return response


def test_https_the_browser_accepts_the_session_cookie(page: Page, secure: Installation) -> None:
    sign_in(page, secure)
    cookies = stored(page, secure.origin)
    # The transaction cookie `__Host-login-…` is deleted; the browser's own opens nothing.
    session, browser = sorted(cookies)
    assert (session, browser.startswith("__Host-browser-")) == (SESSION, True)
    assert (cookies[browser]["sameSite"], cookies[browser]["httpOnly"]) == ("Lax", True)
    cookie = cookies[SESSION]
    assert cookie["secure"]
    assert cookie["httpOnly"]
    assert cookie["sameSite"] == "Strict"
    assert cookie["domain"] == "localhost", "a cookie for subdomains begins with a dot"
    assert cookie["path"] == "/"
    assert cookie["session"], "a browser's session cookie"
    assert len(cookie["value"]) == 43, "256 random bits and nothing else"
    assert page.evaluate("document.cookie") == ""


def test_https_a_login_transaction_has_a_cookie_of_its_own(
    page: Page, secure: Installation
) -> None:
    page.goto(f"{secure.origin}/auth/login")
    browser, login = sorted(stored(page, secure.origin).items())
    assert (browser[0][:15], login[0][:13]) == ("__Host-browser-", "__Host-login-")
    for _, cookie in (browser, login):
        assert (cookie["sameSite"], cookie["domain"], cookie["path"]) == ("Lax", "localhost", "/")
        assert cookie["secure"]
        assert cookie["httpOnly"]


def test_https_every_response_has_hsts(page: Page, secure: Installation) -> None:
    sign_in(page, secure)
    responses = [(e.path, e.response) for e in secure.front.exchanges() if e.response]
    assert {path for path, _ in responses} >= {
        "/",
        "/auth/login",
        "/auth/callback",
        "/auth/profile",
    }
    for path, response in responses:
        assert response.get("strict-transport-security").startswith("max-age=31536000"), path


def test_https_a_logout_deletes_the_cookie(page: Page, secure: Installation) -> None:
    sign_in(page, secure)
    copied = stored(page, secure.origin)[SESSION]
    sign_out(page)
    assert stored(page, secure.origin) == {}
    assert profile_response(page) == [401, "session_missing"]
    put_back(page.context, secure.origin, copied["value"])
    assert list(stored(page, secure.origin)) == [SESSION]
    assert profile_response(page) == [401, "session_ended"]


def put_back(context: BrowserContext, origin: str, value: str) -> None:
    context.add_cookies(
        [{
            "name": SESSION, "value": value, "url": f"{origin}/", "secure": True,
            "httpOnly": True, "sameSite": "Strict",
        }]
    )  # fmt: skip


def test_https_a_script_can_neither_set_nor_replace_the_cookie(
    page: Page, secure: Installation
) -> None:
    sign_in(page, secure)
    value = session_cookie(page)
    page.evaluate(f"document.cookie = '{SESSION}=planted; Secure; Path=/; SameSite=Strict'")
    assert stored(page, secure.origin)[SESSION]["value"] == value
    page.context.clear_cookies()
    page.evaluate(f"document.cookie = '{SESSION}=planted; Secure; Path=/; SameSite=Strict'")
    assert stored(page, secure.origin) == {}, "the name's prefix forbids it (layered cookies draft)"


def test_https_a_persistent_session_has_an_expiry(
    https_browser: Browser, certificate: Certificate
) -> None:
    env = {
        "BFF_SESSION_PERSISTENT": "true",
        "BFF_SESSION_ABSOLUTE_SECONDS": str(ABSOLUTE_SECONDS),
        "BFF_SESSION_IDLE_SECONDS": "3600",
    }
    with installation(certificate, env=env) as persistent:
        context = https_browser.new_context()
        page = context.new_page()
        sign_in(page, persistent)
        cookie = stored(page, persistent.origin)[SESSION]
        now = page.evaluate("Date.now() / 1000")
        assert not cookie["session"]
        assert now + ABSOLUTE_SECONDS - 120 < cookie["expires"] <= now + ABSOLUTE_SECONDS
        assert (cookie["secure"], cookie["httpOnly"], cookie["sameSite"]) == (True, True, "Strict")
        sign_out(page)
        assert stored(page, persistent.origin) == {}
        context.close()
