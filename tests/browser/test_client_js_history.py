"""Back after a logout, in a browser with its back/forward cache."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, expect

from tests.browser.stub import Stub, serve
from tests.support.chromium import FLAGS, installed

APP = """import * as client from "/auth/client.js";
window.client = client;
window.ends = [];
client.session.addEventListener("session-ended", ({ detail }) => ends.push(detail.reason));
const me = await client.profile();
document.getElementById("user").textContent = me ? me.user.name : "no user";
"""


@pytest.fixture
def stub(tmp_path: Path) -> Iterator[Stub]:
    script = '<script type="module" src="/app.js"></script>'
    (tmp_path / "index.html").write_text(f'<!doctype html><p id="user"></p>{script}')
    (tmp_path / "app.js").write_text(APP)
    with serve(Stub(spa_dir=tmp_path, signed_in=True)) as stub:
        yield stub


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """Of a browser as users have it; Playwright turns the back/forward cache off."""
    kind = browser.browser_type
    launched = kind.launch(
        executable_path=installed(whole=True) or kind.executable_path,
        headless=True,
        args=list(FLAGS),
        ignore_default_args=["--disable-back-forward-cache"],
    )
    yield launched.new_context()
    launched.close()


def test_back_after_a_logout_shows_no_signed_in_page(context: BrowserContext, stub: Stub) -> None:
    page = context.new_page()
    page.goto(stub.origin)
    expect(page.locator("#user")).to_have_text("Dana Demo")
    page.evaluate("addEventListener('pageshow', ({ persisted }) => console.log({ persisted }))")
    with page.expect_navigation(url="**/?signed-out"):
        page.evaluate("client.logout()")
    with page.expect_console_message(lambda m: m.text == "{persisted: true}"):
        page.evaluate("history.back()")
    expect(page.locator("#user")).to_have_text("no user")
