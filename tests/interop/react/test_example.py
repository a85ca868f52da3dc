"""`examples/react` in a real browser: what a user of such an app meets, at the demo's provider."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from demo.provider.second_step import ONE_TIME_CODE
from tests.browser.installation import Installation, installation
from tests.browser.whole_flow import take_picture
from tests.interop.react.example import EXAMPLE, built
from tests.support.admin_calls import ADMIN_KEY, BY_KEY, bearer
from tests.support.cluster import EMAIL, PASSWORD

WAIT_MS = 20_000
AXE = EXAMPLE / "node_modules/axe-core/axe.min.js"
VIOLATIONS = """async () => (await axe.run()).violations.map(
    ({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" ")}`)"""
CONTROLLED = "() => navigator.serviceWorker.ready.then(() => caches.keys()).then(k => k.length > 0)"


@pytest.fixture(scope="module")
def running() -> Iterator[Installation]:
    with installation(env={"BFF_SPA_DIR": str(built())} | BY_KEY) as running:
        yield running


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context()
    context.set_default_timeout(WAIT_MS)
    yield context
    context.close()


def open_signed_in(context: BrowserContext, running: Installation, path: str = "/") -> Page:
    page = context.new_page()
    page.goto(running.origin + path)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_label("Email").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_text("Dana Demo")).to_be_visible()
    return page


@pytest.fixture
def page(context: BrowserContext, running: Installation) -> Page:
    return open_signed_in(context, running)


def add(page: Page, title: str) -> None:
    page.get_by_label("Order").fill(title)
    page.get_by_role("button", name="Add").click()


def test_an_order_is_added_and_the_next_visit_is_signed_in(
    page: Page, running: Installation
) -> None:
    add(page, "Tea")
    expect(page.get_by_role("listitem")).to_have_text(["Tea"])
    page.wait_for_function(CONTROLLED)
    page.reload()
    assert page.evaluate("navigator.serviceWorker.controller !== null")
    expect(page.get_by_role("listitem")).to_have_text(["Tea"])


def test_a_sign_in_and_a_logout_pass_the_service_worker(page: Page) -> None:
    page.wait_for_function(CONTROLLED)
    page.reload()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_label("Email")).to_be_visible()


def test_an_outage_is_said_and_passes_by_itself(page: Page) -> None:
    outage = '{"code": "store_unavailable", "detail": "Please try again soon."}'

    def fail(route: Route) -> None:
        route.fulfill(status=503, body=outage, content_type="application/problem+json")

    expect(page.get_by_label("Order")).to_be_visible()
    page.route("**/api/items", fail)
    page.route("**/auth/profile", fail)
    page.evaluate("location.reload()")
    expect(page.get_by_role("status")).to_contain_text("Please try again soon.")
    expect(page.get_by_role("button", name="Sign in")).to_be_hidden()
    page.unroute("**/auth/profile")
    expect(page.get_by_role("alert")).to_have_text("Please try again soon.")
    expect(page.get_by_role("status")).to_be_hidden()
    page.unroute("**/api/items")
    expect(page.get_by_role("alert")).to_be_hidden()


def test_a_logout_that_failed_is_said(page: Page) -> None:
    page.route("**/auth/logout", lambda route: route.abort())
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("alert")).to_contain_text("You are not signed out.")
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()


def test_a_transfer_takes_a_second_factor_and_comes_back_to_its_page(page: Page) -> None:
    page.get_by_role("link", name="Transfer").click()
    page.get_by_role("button", name="Transfer").click()
    page.get_by_role("link", name="Sign in again").click()
    page.get_by_label("One-time code").fill(ONE_TIME_CODE)
    page.get_by_role("button", name="Confirm").click()
    expect(page.get_by_role("heading", name="Transfer")).to_be_visible()
    page.get_by_role("button", name="Transfer").click()
    expect(page.get_by_role("status")).to_have_text("Transferred.")


def test_other_tabs_follow_a_logout_and_a_sign_in(page: Page, context: BrowserContext) -> None:
    other = context.new_page()
    other.goto(page.url)
    expect(other.get_by_label("Order")).to_be_visible()
    other.wait_for_load_state("networkidle")
    page.get_by_role("button", name="Sign out").click()
    expect(other.get_by_role("status")).to_have_text("You signed out in another tab.")
    expect(other.get_by_text("Dana Demo")).to_be_hidden()
    page.get_by_role("button", name="Sign in").click()
    page.get_by_label("Email").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Continue").click()
    expect(other.get_by_text("Dana Demo")).to_be_visible()
    expect(other.get_by_role("status")).to_be_hidden()


def test_an_end_from_outside_is_told_at_the_next_call(page: Page, running: Installation) -> None:
    expect(page.get_by_label("Order")).to_be_visible()
    sub = page.evaluate("fetch('/auth/profile').then(r => r.json()).then(p => p.user.sub)")
    ended = requests.post(
        f"{running.origin}/admin/sessions/end",
        json={"sub": sub}, headers=bearer(ADMIN_KEY), timeout=20,
    )  # fmt: skip
    assert ended.ok, ended.text
    add(page, "Coffee")
    expect(page.get_by_role("status")).to_have_text("Your session has ended.")
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    assert "Dana" not in page.content()


def test_offline_the_page_opens_and_it_recovers_by_itself(
    page: Page, context: BrowserContext
) -> None:
    page.wait_for_function(CONTROLLED)
    page.reload()
    expect(page.get_by_label("Order")).to_be_visible()
    context.set_offline(True)
    page.reload()
    expect(page.get_by_role("status")).to_have_text("You are offline.")
    expect(page.get_by_role("button", name="Sign in")).to_be_hidden()
    context.set_offline(False)
    expect(page.get_by_text("Dana Demo")).to_be_visible()
    expect(page.get_by_role("status")).to_be_hidden()


def test_other_devices_are_told_apart_and_signed_out(
    page: Page, browser: Browser, running: Installation
) -> None:
    with browser.new_context() as second, browser.new_context() as third:
        for one in (second, third):
            open_signed_in(one, running)
        page.get_by_role("link", name="Devices").click()
        others = page.get_by_role("button", name="Sign out Chrom")
        expect(others.nth(1)).to_be_visible()
        labels = [one.get_attribute("aria-label") for one in others.all()]
        assert len(set(labels)) == len(labels)
        page.get_by_role("button", name="Sign out all others").click()
        if page.get_by_role("alert").is_visible():
            pytest.fail(page.get_by_role("alert").inner_text())
        expect(others).to_have_count(0)
        tab = third.pages[0]
        add(tab, "Late")
        expect(tab.get_by_role("button", name="Sign in")).to_be_visible()


def test_a_chunk_that_is_gone_is_loaded_again_on_a_click(
    browser: Browser, running: Installation
) -> None:
    """A release replaces the files while the page is open, and no service worker has them."""
    page = open_signed_in(browser.new_context(service_workers="block"), running)
    expect(page.get_by_label("Order")).to_be_visible()
    page.route("**/assets/Devices-*", lambda route: route.fulfill(status=404))
    page.get_by_role("link", name="Devices").click()
    failed = page.get_by_role("alert")
    expect(failed).to_contain_text("can't be loaded")
    page.unroute("**/assets/Devices-*")
    failed.get_by_role("button").click()
    expect(page.get_by_text("(this one)")).to_be_visible()
    page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_everybody_can_use_every_page(
    browser: Browser, running: Installation, scheme: str, width: int
) -> None:
    """axe-core finds nothing, and no page scrolls sideways."""
    context = browser.new_context(
        color_scheme="dark" if scheme == "dark" else "light",
        viewport={"width": width, "height": 800},
    )
    context.set_default_timeout(WAIT_MS)
    page = context.new_page()
    page.goto(running.origin)
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    check(page, f"{scheme}-{width}-signed-out")
    page = open_signed_in(context, running)
    expect(page.get_by_label("Order")).to_be_visible()
    add(page, "Tea and a very long name, " * 4)
    expect(page.get_by_role("listitem").first).to_be_visible()
    check(page, f"{scheme}-{width}-orders")
    page.get_by_role("link", name="Transfer").click()
    page.get_by_role("button", name="Transfer").click()
    expect(page.get_by_role("alert")).to_be_visible()
    check(page, f"{scheme}-{width}-transfer")
    page.get_by_role("link", name="Devices").click()
    expect(page.get_by_text("(this one)")).to_be_visible()
    check(page, f"{scheme}-{width}-devices")
    context.close()


def check(page: Page, picture: str) -> None:
    if "BFF_TEST_SCREENSHOTS" in os.environ:
        take_picture(page, f"example-{picture}")
    page.evaluate(Path(AXE).read_text())
    assert page.evaluate(VIOLATIONS) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
