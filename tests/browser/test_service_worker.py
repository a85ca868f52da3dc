"""A service worker that passes every request on stops neither a sign-in nor a deep link.

One that makes requests of its own is named on a page; nobody is shown JSON.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.installation import DEMO_SPA, Installation, installation
from tests.browser.whole_flow import WAIT_MS, part, sign_in

REGISTER = """async () => {
    await navigator.serviceWorker.register("/sw.js");
    const controlled = new Promise((done) => {
        navigator.serviceWorker.addEventListener("controllerchange", done);
    });
    if (!navigator.serviceWorker.controller) await controlled;
}"""
BEGIN = """
addEventListener("install", () => skipWaiting());
addEventListener("activate", (event) => event.waitUntil(clients.claim()));
"""
PASSES_ON = "addEventListener('fetch', (e) => e.respondWith(fetch(e.request)));"
PRELOADS = """
addEventListener("activate", (e) => e.waitUntil(registration.navigationPreload.enable()));
addEventListener("fetch", (e) => e.respondWith(Promise.any(
    [e.preloadResponse.then((early) => early ?? Promise.reject()), fetch(e.request)])));
"""
# A request with any option of its own is no navigation in any browser (Fetch, `new Request`).
# So Chromium shows what Firefox does with a worker that passes on.
HIDES = {
    "with an option": "fetch(e.request, { cache: 'no-store' })",
    "anew": "fetch(e.request.url)",
    "anew, with headers": "fetch(e.request.url, { headers: e.request.headers })",
}


@pytest.fixture(scope="module")
def spa(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's app, with a service worker."""
    folder = tmp_path_factory.mktemp("with-worker") / "spa"
    shutil.copytree(DEMO_SPA, folder)
    return folder


@pytest.fixture(scope="module")
def started(spa: Path) -> Iterator[Installation]:
    with installation(env={"BFF_SPA_DIR": str(spa)}) as started:
        yield started


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context()
    yield context.new_page()
    context.close()


def use_worker(page: Page, started: Installation, spa: Path, script: str) -> None:
    (spa / "sw.js").write_text(BEGIN + script)
    page.goto(started.origin)
    page.evaluate(REGISTER)


def test_a_sign_in_and_deep_links_pass_through_a_service_worker(
    page: Page, started: Installation, spa: Path
) -> None:
    use_worker(page, started, spa, PASSES_ON)
    with page.expect_request("**/auth/login?*"):
        sign_in(page, started)
    for path in ("/orders/7", "/stra\u00dfe"):
        page.goto(started.origin + path)
        expect(part(page, "user-name")).to_be_visible(timeout=WAIT_MS)
    part(page, "api-items").click()
    expect(part(page, "api-status")).to_contain_text("200", timeout=WAIT_MS)
    page.goto(f"{started.origin}/auth/callback?code=x&state=x")
    expect(part(page, "user-name")).to_be_visible(timeout=WAIT_MS)  # Signed in: to the app.
    page.goto(f"{started.origin}/auth/logout")
    expect(page.get_by_role("button", name="Sign out")).to_be_visible(timeout=WAIT_MS)
    page.get_by_role("button", name="Sign out").click()
    expect(part(page, "sign-in")).to_be_visible(timeout=WAIT_MS)


def test_a_sign_in_passes_though_a_service_worker_has_each_page_load_made_twice(
    page: Page, started: Installation, spa: Path
) -> None:
    """By navigation preload; whichever response comes first is shown."""
    use_worker(page, started, spa, PRELOADS)
    since = time.monotonic()
    sign_in(page, started)
    callbacks = [e for e in started.front.exchanges(since) if e.path == "/auth/callback"]
    assert len(callbacks) == 2


@pytest.mark.parametrize("fetches", HIDES.values(), ids=HIDES)
def test_a_service_worker_that_hides_page_loads_is_named_on_a_page(
    page: Page, started: Installation, spa: Path, fetches: str
) -> None:
    use_worker(page, started, spa, f"addEventListener('fetch', (e) => e.respondWith({fetches}));")
    for path in ("/auth/login", "/auth/callback?code=x&state=x", "/orders/7"):
        page.goto(started.origin + path)
        expect(page.get_by_text("service_worker_interferes")).to_be_visible(timeout=WAIT_MS)
