"""A foreign cookie with a letter like ü: Granian hides all cookies, and one click helps."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.installation import TEST_DOMAIN, Installation, installation
from tests.browser.whole_flow import NAME, WAIT_MS, part, session_cookie, sign_in, take_picture
from tests.support.certificate import Certificate
from tests.support.cluster import EMAIL, PASSWORD

HEADING = "A cookie in your browser keeps this application from recognising you"
PROFILE = "fetch('/auth/profile').then(async (r) => [r.status, (await r.json()).code ?? ''])"


@pytest.fixture(scope="module")
def secure(certificate: Certificate) -> Iterator[Installation]:
    with installation(certificate, host=f"app.{TEST_DOMAIN}") as started:
        yield started


@pytest.fixture
def page(https_browser: Browser) -> Iterator[Page]:
    context = https_browser.new_context()
    yield context.new_page()
    context.close()


def names(page: Page, installation: Installation) -> set[str]:
    return {cookie.get("name", "") for cookie in page.context.cookies(installation.origin)}


@pytest.mark.parametrize(
    "cookie",
    [
        "city=Zürich",
        f"city=Zürich; Domain={TEST_DOMAIN}",
        "city=Zürich; Path=/auth",
        f"größe=1; Path=/auth/; Domain=app.{TEST_DOMAIN}",
        "😀",
    ],
)
def test_one_click_removes_the_cookie_and_the_session_is_back(
    page: Page, secure: Installation, cookie: str
) -> None:
    sign_in(page, secure)
    value = session_cookie(page)
    page.evaluate("document.cookie = 'plain=stays; Secure'")
    page.evaluate("(cookie) => { document.cookie = cookie; }", f"{cookie}; Secure")
    assert page.evaluate(PROFILE) == [401, "cookies_unreadable"]
    page.goto(f"{secure.origin}/auth/profile")
    expect(page.get_by_role("heading", name=HEADING)).to_be_visible(timeout=WAIT_MS)
    take_picture(page, "cookies-unreadable")
    page.get_by_role("button", name="Remove the cookie").click()
    expect(page.get_by_text('"sub"')).to_be_visible(timeout=WAIT_MS)
    assert session_cookie(page) == value, "the session's own cookie is gone"
    assert page.evaluate(PROFILE) == [200, ""]
    assert "plain" in names(page, secure)


def test_a_cookie_that_no_script_sees_goes_with_all_others(
    page: Page, secure: Installation
) -> None:
    sign_in(page, secure)
    page.context.add_cookies(
        [{"name": "city", "value": "Zürich", "url": secure.origin, "httpOnly": True}]
    )
    page.goto(f"{secure.origin}/auth/profile")
    page.get_by_role("button", name="Remove the cookie").click()
    expect(part(page, "sign-in")).to_be_visible(timeout=WAIT_MS)
    assert names(page, secure) == set()


def test_a_sign_in_with_such_a_cookie_is_finished_after_the_click(
    page: Page, secure: Installation
) -> None:
    page.goto(secure.origin)
    page.evaluate("document.cookie = 'city=Zürich; Secure'")
    page.goto(f"{secure.origin}/auth/login?returnTo=/")
    page.get_by_label("Email").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("heading", name=HEADING)).to_be_visible(timeout=WAIT_MS)
    page.get_by_role("button", name="Remove the cookie").click()
    expect(part(page, "user-name")).to_have_text(NAME, timeout=WAIT_MS)


def test_a_logout_with_such_a_cookie_does_not_claim_to_be_one(
    page: Page, secure: Installation
) -> None:
    sign_in(page, secure)
    page.evaluate("document.cookie = 'city=Zürich; Secure'")
    script = "fetch('/auth/logout', {method: 'POST', headers: {'X-CSRF': '1'}}).then(r => r.status)"
    assert page.evaluate(script) == 401
    assert session_cookie(page)
