"""The main walk, and what Back shows after a logout."""

from __future__ import annotations

import time

from tests.browser.installation import Installation
from tests.browsers.walk import PROFILE, SESSION, SIGN_OUT, part, responses_to, sign_in
from tests.browsers.webdriver import Session
from tests.support.waiting import wait_for

# A synchronous request is sent before the module, whose listener comes later, reloads the page.
TELL_PAGE_SHOW = """
    addEventListener("pageshow", ({ persisted }) => {
        const request = new XMLHttpRequest();
        request.open("GET", `/auth/pages.css?persisted=${persisted}`, false);
        request.send();
    }, { capture: true });
"""


def test_the_main_walk_ends_signed_out_also_after_back(browser: Session, app: Installation) -> None:
    sign_in(browser, app)
    assert browser.run("return document.cookie") == ""
    browser.click(part("api-items"))
    browser.wait_for_text("GET /api/items 200")
    browser.reload()
    browser.wait(part("user-name"))
    browser.go(f"{app.origin}/orders/7")
    browser.wait(part("user-name"))
    browser.click(part("sign-out"))
    browser.wait(part("sign-in"))
    since = time.monotonic()
    assert browser.run(PROFILE) == 401
    for exchange in responses_to(app, "/auth/profile", since):
        assert SESSION not in exchange.request.get("cookie")
    browser.back()
    wait_for(lambda: browser.url().endswith("/orders/7"), "Back")
    browser.wait(part("sign-in"))
    assert browser.shown(part("user-name")) == []


def test_back_after_a_logout_shows_no_signed_in_page_from_the_cache(
    browser: Session, app: Installation
) -> None:
    sign_in(browser, app)
    browser.leave("location.assign('/orders/7');")
    wait_for(lambda: browser.url().endswith("/orders/7"), "the second page")
    browser.wait(part("user-name"))
    browser.run(TELL_PAGE_SHOW)
    since = time.monotonic()
    browser.run(SIGN_OUT)
    browser.leave("location.assign('/about');")
    assert responses_to(app, "/auth/logout", since)[0].status == 200
    assert responses_to(app, "/auth/profile", since)[0].status == 401
    browser.wait(part("sign-in"))
    since = time.monotonic()
    browser.back()
    # The browser has shown the page as it was: signed in.
    (shown,) = responses_to(app, "/auth/pages.css", since)
    assert shown.target.endswith("persisted=true")
    responses_to(app, "/orders/7", since)
    browser.wait(part("sign-in"))
    assert browser.shown(part("user-name")) == []
