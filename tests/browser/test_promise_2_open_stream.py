"""Promise 2 in a real browser: its open event stream ends when another replica ends the session."""

from __future__ import annotations

import time

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.installation import DEMO_SPA
from tests.support.cluster import EMAIL, PASSWORD, Cluster

pytestmark = pytest.mark.session_cache

WAIT_MS = 15_000
ENDS_WITHIN_SECONDS = 8.0
"""Two at the BFF (tests/promises/test_2_open_streams.py), and time for the browser, which is polled
at growing intervals of up to a second."""


def test_promise_2_the_stream_in_a_browser_ends_with_a_logout_at_another_replica(
    browser: Browser,
) -> None:
    with (
        Cluster(replicas=2, env={"BFF_SPA_DIR": str(DEMO_SPA)}) as cluster,
        browser.new_context() as context,
    ):
        page = context.new_page()
        page.goto(cluster.base_url)
        page.get_by_test_id("sign-in").click()
        page.locator("input[name=username]").fill(EMAIL)
        page.locator("input[name=password]").fill(PASSWORD)
        page.keyboard.press("Enter")
        expect(page.get_by_test_id("user-name")).to_be_visible(timeout=WAIT_MS)
        page.get_by_test_id("stream-toggle").click()
        state = page.get_by_test_id("stream-state")
        expect(state).to_have_text("Live", timeout=WAIT_MS)

        [cookie] = [c for c in context.cookies() if c["name"] == "session"]
        elsewhere = cluster.browser()
        elsewhere.here.cookies.set("session", cookie["value"])
        assert elsewhere.log_out(replica=1).status_code == 200
        began = time.monotonic()
        # The browser reconnects by itself, is refused, and the page shows it.
        expect(state).not_to_have_text("Live", timeout=WAIT_MS)
        assert time.monotonic() - began < ENDS_WITHIN_SECONDS
        expect(page.get_by_test_id("sign-in")).to_be_visible(timeout=WAIT_MS)
