"""A service worker that passes every request on stops no sign-in without a page that says so."""

from __future__ import annotations

import time

import pytest

from tests.browser.installation import Installation
from tests.browsers.walk import (
    fetch_metadata,
    part,
    response_to,
    sign_in,
    use_worker,
)
from tests.browsers.webdriver import Session

# What the browser says of a page load that the worker has passed on. Nobody can tell Firefox's
# from a script's fetch.
PASSED_ON = {
    "chromium": ("same-origin", "navigate", "empty"),
    "firefox": ("same-origin", "same-origin", "empty"),
    "webkit": ("same-origin", "navigate", "empty"),
}
PATHS = ["/auth/login", "/auth/callback?code=x&state=x", "/orders/7"]


def test_a_sign_in_passes_through_a_service_worker_or_its_page_names_it(
    browser: Session, app: Installation
) -> None:
    browser.go(app.origin)
    use_worker(browser)
    if browser.kind == "firefox":
        browser.click(part("sign-in"))
        browser.wait_for_text("service_worker_interferes")
        return
    sign_in(browser, app)
    browser.click(part("api-items"))
    browser.wait_for_text("GET /api/items 200")
    browser.go(f"{app.origin}/auth/logout")
    browser.wait_for_text("Sign out?")
    browser.click("button")
    browser.wait(part("sign-in"))


@pytest.mark.parametrize("path", PATHS)
def test_a_page_load_that_a_service_worker_passed_on_gets_a_page(
    browser: Session, app: Installation, path: str
) -> None:
    browser.go(app.origin)
    use_worker(browser)
    since = time.monotonic()
    browser.go(app.origin + path)
    exchange = response_to(app, path.partition("?")[0], since)
    assert fetch_metadata(exchange) == PASSED_ON[browser.kind]
    expected = {"/auth/login": 302, "/orders/7": 200}.get(path, 400)
    assert exchange.status == (400 if browser.kind == "firefox" else expected)
    if exchange.status == 400:
        assert exchange.response
        assert exchange.response.get("content-type").startswith("text/html")
        in_firefox = browser.kind == "firefox"
        browser.wait_for_text("service_worker_interferes" if in_firefox else "state_invalid")
    elif path == "/auth/login":
        browser.wait("[name=username]")
    else:
        browser.wait(part("sign-in"))
