"""A user who opens the application by another name of its host can sign in, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.installation import Installation, installation
from tests.browser.whole_flow import NAME, WAIT_MS, part
from tests.support.cluster import EMAIL, PASSWORD


@pytest.fixture(scope="module")
def started() -> Iterator[Installation]:
    with installation() as started:
        yield started


def test_a_sign_in_at_127_0_0_1_ends_at_localhost(browser: Browser, started: Installation) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{started.front.port}/orders?n=1")
    part(page, "sign-in").click()
    page.get_by_label("Email").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Continue").click()
    expect(page).to_have_url(f"{started.origin}/orders?n=1", timeout=WAIT_MS)
    expect(part(page, "user-name")).to_have_text(NAME, timeout=WAIT_MS)
    context.close()
