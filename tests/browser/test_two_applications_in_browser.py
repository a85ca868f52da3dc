"""Two applications on one `localhost` don't sign each other's users out, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.installation import Installation, installation
from tests.browser.whole_flow import NAME, WAIT_MS, part
from tests.support.cluster import EMAIL, PASSWORD


@pytest.fixture(scope="module")
def two() -> Iterator[tuple[Installation, Installation]]:
    with installation() as one, installation() as other:
        yield one, other


def sign_in(page: Page, at: Installation) -> None:
    page.goto(f"{at.origin}/")
    part(page, "sign-in").click()
    page.get_by_label("Email").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Continue").click()
    expect(part(page, "user-name")).to_have_text(NAME, timeout=WAIT_MS)


def test_both_stay_signed_in_and_a_logout_concerns_one(
    browser: Browser, two: tuple[Installation, Installation]
) -> None:
    context = browser.new_context()
    pages = [context.new_page() for _ in two]
    for page, at in zip(pages, two, strict=True):
        sign_in(page, at)
    for page in pages:
        page.reload()
        expect(part(page, "user-name")).to_have_text(NAME, timeout=WAIT_MS)
    names = [cookie["name"] for cookie in context.cookies() if "session" in cookie["name"]]
    assert sorted(names) == sorted(["session", *(f"session-{at.front.port}" for at in two)])
    pages[1].goto(f"{two[1].origin}/auth/logout")
    pages[1].get_by_role("button").first.click()
    pages[1].goto(f"{two[1].origin}/")
    expect(part(pages[1], "sign-in")).to_be_visible(timeout=WAIT_MS)
    pages[0].reload()
    expect(part(pages[0], "user-name")).to_have_text(NAME, timeout=WAIT_MS)
    context.close()
