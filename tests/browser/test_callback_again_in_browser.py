"""A sign-in whose callback comes again, late or from elsewhere: nobody is stuck, the place is kept.

As people do it: reload, Back and submit, F5 after an outage, many tabs, another browser's address.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.installation import Installation, installation
from tests.browser.whole_flow import WAIT_MS, part
from tests.support.cluster import EMAIL, PASSWORD

PLACE = "/orders/7?view=all#part"
LOGIN = "/auth/login?returnTo=/orders/7%3Fview%3Dall%23part"
TABS = 8


@pytest.fixture(scope="module")
def running() -> Iterator[Installation]:
    with installation() as running:
        yield running


def submit(page: Page) -> None:
    """Fill in the provider's form, which the page shows."""
    page.get_by_label("Email").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Continue").click()


def begin(context: BrowserContext, running: Installation, path: str = LOGIN) -> Page:
    """A tab at the provider's form."""
    page = context.new_page()
    page.goto(running.origin + path)
    expect(page.get_by_label("Email")).to_be_visible()
    return page


def finish(page: Page) -> str:
    """Submit the form; returns the address of the callback."""
    with page.expect_request("**/auth/callback?*") as callback:
        submit(page)
    return callback.value.url


def expect_signed_in(page: Page, running: Installation, place: str = PLACE) -> None:
    expect(part(page, "user-name")).to_be_visible()
    expect(page).to_have_url(running.origin + place)


def test_a_reload_of_the_callback_leads_to_the_page(
    context: BrowserContext, running: Installation
) -> None:
    page = begin(context, running)
    callback = finish(page)
    expect_signed_in(page, running)
    page.goto(callback)
    expect_signed_in(page, running)


def test_back_to_the_form_and_submit_leads_to_the_page(
    context: BrowserContext, running: Installation
) -> None:
    page = begin(context, running, f"{LOGIN}&prompt=login")
    finish(page)
    expect_signed_in(page, running)
    page.go_back()
    finish(page)
    expect_signed_in(page, running)


def test_f5_after_an_outage_finishes_the_sign_in(
    context: BrowserContext, running: Installation
) -> None:
    running.cluster.control("POST", "faults", endpoint="token", do="status", status=503, times=1)
    page = begin(context, running)
    finish(page)
    expect(page.get_by_text("provider_unavailable")).to_be_visible()
    page.reload()
    expect_signed_in(page, running)


def test_every_one_of_many_tabs_gets_to_its_own_page(
    context: BrowserContext, running: Installation
) -> None:
    """More than a browser has sign-ins under way: the oldest costs one click."""
    pages = [begin(context, running, f"/auth/login?returnTo=/tabs/{n}") for n in range(TABS)]
    finish(pages[0])
    expect(pages[0].get_by_text("state_invalid")).to_be_visible()
    pages[0].get_by_role("link", name="Sign in").click()
    expect_signed_in(pages[0], running, "/tabs/0")
    for number, page in enumerate(pages[1:], 1):
        finish(page)
        expect_signed_in(page, running, f"/tabs/{number}")


def test_a_callback_of_another_browser_is_one_click_from_the_same_page(
    browser: Browser, context: BrowserContext, running: Installation
) -> None:
    page = begin(context, running)
    callback = finish(page)
    with browser.new_context() as other:
        other.set_default_timeout(WAIT_MS)
        elsewhere = other.new_page()
        elsewhere.goto(callback)
        expect(elsewhere.get_by_text("state_invalid")).to_be_visible()
        elsewhere.get_by_role("link", name="Sign in").click()
        finish(elsewhere)
        expect_signed_in(elsewhere, running)
