"""How does a browser test open the demo's page at the stand-in for the BFF?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests.browser.stub import Stub

WATCH = """
    window.violations = [];
    window.shift = 0;
    addEventListener("securitypolicyviolation", (e) => violations.push(e.violatedDirective));
    new PerformanceObserver((list) => {
        for (const entry of list.getEntries()) if (!entry.hadRecentInput) shift += entry.value;
    }).observe({ type: "layout-shift", buffered: true });
"""


@contextmanager
def demo_page(context: BrowserContext, stub: Stub) -> Iterator[Page]:
    """A page whose scripts must neither fail nor violate the policy."""
    context.add_init_script(WATCH)
    page = context.new_page()
    errors: list[Any] = []
    page.on("pageerror", lambda error: errors.append(error))
    page.goto(stub.origin)
    yield page
    assert errors == []
    assert page.evaluate("violations") == []


def part(page: Page, name: str) -> Locator:
    """A part of the page."""
    return page.get_by_test_id(name)


def sign_in(page: Page) -> None:
    """By the page's button; the stand-in asks nothing."""
    part(page, "sign-in").click()
    expect(part(page, "user-name")).to_be_visible()
    expect(part(page, "user-name")).to_have_text("Dana Demo")
