"""Two tabs and two users in a real browser: what a tab shows decides as whom it writes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from demo.provider.settings import DEMO_USER, UserSettings
from tests.browser.installation import Installation, installation
from tests.browser.whole_flow import part, sign_in

BOB = UserSettings(email="bob@example.com", password="bob", sub="auth0|bob", name="Bob")  # noqa: S106


@pytest.fixture(scope="module")
def running() -> Iterator[Installation]:
    with installation(provider={"users": [asdict(DEMO_USER), asdict(BOB)]}) as running:
        yield running


def sign_in_over_it(context: BrowserContext, running: Installation, user: UserSettings) -> Page:
    """In a tab of its own, while there is a session."""
    page = context.new_page()
    page.goto(f"{running.origin}/auth/login?prompt=login")
    page.get_by_label("Email").fill(user.email)
    page.get_by_label("Password").fill(user.password)
    page.get_by_role("button", name="Continue").click()
    expect(part(page, "user-name")).to_have_text(user.name)
    return page


def items(page: Page) -> int:
    return int(
        page.evaluate("fetch('/api/items').then(async (r) => (await r.json()).items.length)")
    )


def add(page: Page, status: int) -> None:
    part(page, "api-add").click()
    expect(part(page, "api-status")).to_contain_text(str(status))


def test_a_tab_that_shows_one_user_does_not_write_as_another(
    context: BrowserContext, running: Installation
) -> None:
    context.add_init_script("delete globalThis.BroadcastChannel")
    page = context.new_page()
    sign_in(page, running)
    add(page, 201)
    other = sign_in_over_it(context, running, BOB)
    before = items(other)
    expect(part(page, "user-name")).to_have_text(DEMO_USER.name)
    part(page, "api-add").click()
    expect(part(page, "user-name")).to_have_text(BOB.name)
    expect(part(page, "notice")).to_have_text("Another user has signed in in this browser.")
    assert items(other) == before
    add(page, 201)
    assert items(other) == before + 1


def test_the_other_tab_shows_the_user_who_has_signed_in(
    context: BrowserContext, running: Installation
) -> None:
    page = context.new_page()
    sign_in(page, running)
    other = sign_in_over_it(context, running, BOB)
    expect(part(page, "user-name")).to_have_text(BOB.name)
    assert DEMO_USER.name not in page.content()
    part(other, "sign-out").click()
    expect(part(page, "sign-in")).to_be_visible()
    sign_in_over_it(context, running, DEMO_USER)
    expect(part(page, "user-name")).to_have_text(DEMO_USER.name)


def test_a_second_sign_in_of_the_same_user_disturbs_no_tab(
    context: BrowserContext, running: Installation
) -> None:
    context.add_init_script("delete globalThis.BroadcastChannel")
    page = context.new_page()
    sign_in(page, running)
    part(page, "api-items").click()
    expect(part(page, "api-status")).to_contain_text("200")
    sign_in_over_it(context, running, DEMO_USER)
    add(page, 201)
    expect(part(page, "notice")).to_be_hidden()
