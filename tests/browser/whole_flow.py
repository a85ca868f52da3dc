"""A whole flow in a real browser, from the first sign-in to the last.

The steps are the demo SPA's own buttons; in between, what the browser stores is checked.
"""

from __future__ import annotations

import os
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from tests.browser.installation import Installation
from tests.support.ageing import age_access_token
from tests.support.cluster import EMAIL, PASSWORD

NAME = "Dana Demo"
SCREENSHOTS = "BFF_TEST_SCREENSHOTS"
"""The environment variable for a folder of screenshots; without it there are none."""
STORED = """async () => [
    document.cookie, localStorage.length, sessionStorage.length,
    (await indexedDB.databases()).length, (await caches.keys()).length,
    (await navigator.serviceWorker.getRegistrations()).length, window.name, history.state,
]"""
WAIT_MS = 20_000
NOTHING = ["", 0, 0, 0, 0, 0, "", None]


def part(page: Page, name: str) -> Locator:
    """A part of the demo SPA."""
    return page.get_by_test_id(name)


def sign_in(page: Page, installation: Installation) -> None:
    """From the SPA through the provider's form and back to the SPA."""
    page.goto(installation.origin)
    part(page, "sign-in").click()
    page.get_by_label("Email").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    take_picture(page, "provider")
    page.get_by_role("button", name="Continue").click()
    expect(part(page, "user-name")).to_have_text(NAME, timeout=WAIT_MS)


def sign_out(page: Page) -> None:
    """From the SPA to the provider and back."""
    part(page, "sign-out").click()
    expect(part(page, "sign-in")).to_be_visible(timeout=WAIT_MS)


def session_cookie(page: Page) -> str:
    """The value of the session cookie, which only DevTools can see."""
    cookies = page.context.cookies()
    return next(c.get("value", "") for c in cookies if c.get("name", "").endswith("session"))


def whole_flow(page: Page, installation: Installation) -> None:
    """Sign in, call, stream, refresh, list devices, sign in once more, sign out, sign in."""
    sign_in(page, installation)
    take_picture(page, "signed-in")
    assert page.evaluate(STORED) == NOTHING
    call_the_api(page)
    watch_the_stream(page)
    refresh(page, installation)
    part(page, "devices-refresh").click()
    expect(part(page, "device")).to_have_count(1, timeout=WAIT_MS)
    assert page.evaluate(STORED) == NOTHING
    # The provider has a session and shows no form: a sign-in that replaces the session here.
    page.goto(f"{installation.origin}/auth/login?prompt=none&returnTo=/")
    expect(part(page, "user-name")).to_have_text(NAME, timeout=WAIT_MS)
    take_picture(page, "before-sign-out")
    sign_out(page)
    take_picture(page, "signed-out")
    assert page.evaluate(STORED) == NOTHING
    sign_in(page, installation)
    assert page.evaluate(STORED) == NOTHING


def call_the_api(page: Page) -> None:
    """A read, a write, an error, and the claims that the API received."""
    for name, status in (("items", "200"), ("whoami", "200"), ("fail", "404"), ("add", "201")):
        part(page, f"api-{name}").click()
        expect(part(page, "api-status")).to_contain_text(status, timeout=WAIT_MS)


def watch_the_stream(page: Page) -> None:
    """Connect until the second event has come."""
    part(page, "stream-toggle").click()
    expect(part(page, "stream-last")).to_have_attribute("data-number", "2", timeout=WAIT_MS)
    part(page, "stream-toggle").click()


def refresh(page: Page, installation: Installation) -> None:
    """Call the API with an expired access token."""
    before = installation.cluster.counts().get("token.refresh_token.ok", 0)
    age_access_token(installation.cluster, session_cookie(page), 0)
    part(page, "api-items").click()
    expect(part(page, "api-status")).to_contain_text("GET /api/items 200", timeout=WAIT_MS)
    assert installation.cluster.counts()["token.refresh_token.ok"] == before + 1


def take_picture(page: Page, name: str) -> None:
    """For a look at the pages; no test needs it."""
    folder = os.environ.get(SCREENSHOTS)
    if folder:
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)
