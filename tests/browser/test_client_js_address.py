"""`login()` of `/auth/client.js` with the real sign-in: it comes back to the very address."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.installation import Installation, installation
from tests.browser.whole_flow import WAIT_MS, part, sign_in

LOGIN = """async () => (await import("/auth/client.js")).login({ prompt: "none" })"""
ADDRESSES = (
    "/?a%20b=c%20d", "/orders?flag&x=+#part%20two", "/?error=mine&q=%c3%bc", "/a%20b?[x]={y}|z&&",
    "/?next=%2Fauth%2Flogin%3Fa%3D1",
)  # fmt: skip

ESCAPED = {
    "/100%": "/100%25", "/5%-%c3%9f%2?%": "/5%25-%c3%9f%252?%", "/x?p=C:\\a#\\": "/x?p=C:%5Ca#%5C",
}  # fmt: skip


@pytest.fixture(scope="module")
def running() -> Iterator[Installation]:
    with installation() as running:
        yield running


@pytest.fixture
def page(browser: Browser, running: Installation) -> Iterator[Page]:
    context = browser.new_context()
    context.set_default_timeout(WAIT_MS)
    yield context.new_page()
    context.close()


def test_a_sign_in_comes_back_to_the_very_address(page: Page, running: Installation) -> None:
    sign_in(page, running)
    for address in ADDRESSES:
        page.goto(running.origin + address)
        before = page.url
        with page.expect_navigation():
            page.evaluate(LOGIN)
        assert page.url == before
        expect(part(page, "user-name")).to_be_visible()


def test_an_address_that_others_read_differently_is_escaped(
    page: Page, running: Installation
) -> None:
    """The BFF refuses these characters, so the place would be lost."""
    sign_in(page, running)
    for address, expected in ESCAPED.items():
        page.goto(running.origin + address)
        with page.expect_navigation():
            page.evaluate(LOGIN)
        assert page.url == running.origin + expected


def test_so_long_an_address_that_it_is_refused_is_not_sent(
    page: Page, running: Installation
) -> None:
    """Servers with a limit for the request line would refuse the sign-in."""
    sign_in(page, running)
    page.goto(f"{running.origin}/x?q={'%' * 4000}")
    with page.expect_request("**/auth/login?*") as request, page.expect_navigation(url="**/"):
        page.evaluate(LOGIN)
    assert len(request.value.url) < 200


def test_a_failed_silent_sign_in_adds_its_error_and_changes_nothing_else(
    page: Page, running: Installation
) -> None:
    page.goto(f"{running.origin}/x?a%20b&flag#part")
    page.route("**/app.js", lambda route: route.abort())  # The demo takes the error away.
    for _ in range(2):
        with page.expect_navigation():
            page.evaluate(LOGIN)
        assert page.url == f"{running.origin}/x?a%20b&flag&error=login_required#part"
