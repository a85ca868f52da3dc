"""A protected request in a real browser: the stronger sign-in, and back to the same page."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from demo.provider.second_step import ONE_TIME_CODE
from tests.browser.installation import Installation, installation
from tests.browser.whole_flow import part, session_cookie, sign_in, take_picture

PLACE = "/orders/42?tab=pay&x=%26#transfer"


@pytest.fixture(scope="module")
def running() -> Iterator[Installation]:
    with installation() as running:
        yield running


@pytest.fixture
def page(context: BrowserContext, running: Installation) -> Page:
    """A page of the app, after a sign-in with a password."""
    page = context.new_page()
    sign_in(page, running)
    page.goto(running.origin + PLACE)
    expect(part(page, "user-name")).to_be_visible()
    return page


def refused_and_offered(page: Page) -> None:
    part(page, "api-transfer").click()
    expect(part(page, "api-status")).to_contain_text("401")
    expect(part(page, "api-output")).to_contain_text("insufficient_user_authentication")
    expect(part(page, "step-up")).to_be_visible()


def test_a_protected_request_leads_to_the_stronger_sign_in_and_back(
    page: Page, running: Installation
) -> None:
    before = session_cookie(page)
    refused_and_offered(page)
    # Only that request is refused: the page still shows the user, and other requests work.
    expect(part(page, "user-name")).to_be_visible()
    take_picture(page, "step-up-offered")
    part(page, "step-up-go").click()
    expect(page.get_by_role("heading", name="Confirm that it is you")).to_be_visible()
    take_picture(page, "step-up-code")
    assert urlsplit(page.url).path == "/authorize"
    page.get_by_label("One-time code").fill(ONE_TIME_CODE)
    page.get_by_role("button", name="Confirm").click()
    page.wait_for_url(running.origin + PLACE)
    expect(part(page, "user-name")).to_be_visible()
    assert session_cookie(page) != before
    part(page, "api-transfer").click()
    expect(part(page, "api-status")).to_contain_text("200")
    expect(part(page, "api-output")).to_contain_text("urn:demo:strong")
    expect(part(page, "step-up")).to_be_hidden()
    take_picture(page, "step-up-done")


def test_without_the_second_factor_it_is_refused_again_and_there_is_no_loop(
    page: Page, running: Installation
) -> None:
    visited: list[str] = []
    page.on("framenavigated", lambda frame: visited.append(urlsplit(frame.url).path))
    refused_and_offered(page)
    part(page, "step-up-go").click()
    page.get_by_role("button", name="Go on without").click()
    page.wait_for_url(running.origin + PLACE)
    expect(part(page, "user-name")).to_be_visible()
    refused_and_offered(page)
    assert visited == ["/authorize", "/orders/42"]


def test_a_link_to_a_protected_address_shows_a_page_that_leads_to_the_sign_in_and_back(
    page: Page, running: Installation
) -> None:
    page.evaluate("location.assign('/api/transfer')")
    expect(page.get_by_role("heading", name="This needs a stronger sign-in")).to_be_visible()
    take_picture(page, "step-up-page")
    page.get_by_role("link", name="Sign in").click()
    page.get_by_label("One-time code").fill(ONE_TIME_CODE)
    page.get_by_role("button", name="Confirm").click()
    # A fragment is not in the Referer.
    page.wait_for_url(running.origin + PLACE.partition("#")[0])
    part(page, "api-transfer").click()
    expect(part(page, "api-status")).to_contain_text("200")
