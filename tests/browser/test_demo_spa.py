"""The demo's single-page app in a real browser, against a stand-in for the BFF."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from tests.browser.demo_page import demo_page, part, sign_in
from tests.browser.stub import Stub, serve

pytestmark = pytest.mark.session_cache


@pytest.fixture
def stub() -> Iterator[Stub]:
    with serve(Stub()) as stub:
        yield stub


@pytest.fixture
def page(context: BrowserContext, stub: Stub) -> Iterator[Page]:
    with demo_page(context, stub) as page:
        yield page


def test_signed_out_there_is_a_sign_in_and_an_empty_browser(page: Page) -> None:
    expect(part(page, "sign-in")).to_be_visible()
    expect(part(page, "sign-out")).to_be_hidden()
    expect(part(page, "browser-holds")).to_contain_text("None readable")
    expect(part(page, "browser-holds").locator(".mark.good")).to_have_count(5)


def test_the_display_of_stored_values_is_real(page: Page) -> None:
    page.evaluate("localStorage.setItem('access_token', 'x'); document.cookie = 'a=b'")
    part(page, "holds-refresh").click()
    expect(part(page, "browser-holds").locator(".mark.bad")).to_have_count(2)
    expect(part(page, "browser-holds")).to_contain_text("a=b")


def test_signed_in_the_claims_and_times_are_shown(page: Page) -> None:
    sign_in(page)
    expect(part(page, "user-claims")).to_contain_text("demo@example.com")
    expect(part(page, "time-idle")).to_contain_text("23 h")
    expect(part(page, "time-absolute")).to_have_text("6 d 23 h")
    before = int(str(part(page, "time-access").get_attribute("data-seconds")))
    assert 270 < before <= 297, "the value of the BFF, minus the time since"
    page.wait_for_function(
        "(b) => Number(document.querySelector('[data-testid=time-access]').dataset.seconds) < b",
        arg=before,
    )
    expect(part(page, "time-access")).to_have_text(re.compile("4:[345][0-9]"))


@pytest.mark.parametrize("signed_in", [True, False])
def test_nothing_moves_while_the_page_loads(page: Page, stub: Stub, signed_in: bool) -> None:
    expect(part(page, "sign-in")).to_be_visible()
    stub.signed_in = signed_in
    page.reload()
    expect(part(page, "browser-holds")).to_contain_text("None readable")
    if signed_in:
        part(page, "api-whoami").click()
        expect(part(page, "api-output")).to_contain_text("claims")
        part(page, "stream-toggle").click()
        expect(part(page, "stream-last")).to_contain_text(":")
    assert page.evaluate("shift") < 0.005


def test_the_api_is_called_and_its_answer_shown_as_text(page: Page) -> None:
    sign_in(page)
    output = part(page, "api-output")
    page.get_by_label("Title of the new item").fill("<b>Tea</b>")
    part(page, "api-add").click()
    expect(output).to_contain_text("POST /api/items 201")
    expect(output).to_contain_text('"title": "<b>Tea</b>"')
    part(page, "api-add").click()
    expect(output).to_contain_text("A new item")
    part(page, "api-items").click()
    expect(output).to_contain_text("GET /api/items 200")
    expect(output).to_contain_text('"id": 2')
    part(page, "api-whoami").click()
    expect(output).to_contain_text("<img src=x onerror=alert(1)>")
    part(page, "api-slow").click()
    expect(output).to_contain_text("slept_seconds")
    part(page, "api-fail").click()
    expect(output).to_contain_text("404")
    expect(output.locator(".pill.bad")).to_be_visible()
    assert output.locator("img, b").count() == 0


def test_events_are_shown_at_once_and_stop_on_demand(page: Page) -> None:
    sign_in(page)
    last = part(page, "stream-last")
    part(page, "stream-toggle").click()
    expect(part(page, "stream-state")).to_have_text("Live")
    page.wait_for_function(
        "() => Number(document.querySelector('[data-testid=stream-last]').dataset.number) >= 3"
    )
    expect(last).to_contain_text(":")
    part(page, "stream-toggle").click()
    expect(part(page, "stream-state")).to_have_text("Off")
    expect(part(page, "stream-toggle")).to_have_text("Connect")


def test_a_refused_stream_shows_that_the_session_has_ended(page: Page, stub: Stub) -> None:
    sign_in(page)
    stub.signed_in = False
    part(page, "stream-toggle").click()
    expect(part(page, "sign-in")).to_be_visible()
    expect(part(page, "notice")).to_have_text("Your session has ended.")


def test_a_session_that_ends_while_the_page_loads_stays_ended(page: Page, stub: Stub) -> None:
    """The profile arrives, the list of devices is refused: the later response counts."""

    def end_first(route: Route) -> None:
        stub.signed_in = False
        route.continue_()

    expect(part(page, "sign-in")).to_be_visible()
    stub.signed_in = True
    page.add_init_script(SLOW_FIRST_LOOK)
    page.route("**/auth/sessions", end_first)
    page.reload()
    page.wait_for_function("() => window.slowLookDone")
    expect(part(page, "notice")).to_have_text("Your session has ended.")
    expect(part(page, "sign-in")).to_be_visible()
    expect(part(page, "sign-out")).to_be_hidden()
    assert "Dana" not in page.content()


def test_a_logout_leaves_the_page_and_reaches_the_other_tab(
    page: Page, context: BrowserContext, stub: Stub
) -> None:
    sign_in(page)
    other = context.new_page()
    other.goto(stub.origin)
    expect(part(other, "user-name")).to_have_text("Dana Demo")
    part(page, "sign-out").click()
    page.wait_for_url("**/?signed-out")
    expect(part(page, "sign-in")).to_be_visible()
    expect(part(other, "sign-in")).to_be_visible()
    expect(part(other, "notice")).to_have_text("You signed out in another tab.")
    assert "Dana" not in other.content()


def test_a_failed_logout_is_not_shown_as_done(page: Page, stub: Stub) -> None:
    sign_in(page)
    stub.failing_status = 503
    part(page, "sign-out").click()
    expect(part(page, "notice")).to_contain_text("You are not signed out.")
    expect(part(page, "sign-out")).to_be_enabled()


def test_an_outage_at_the_start_is_not_a_logout(page: Page, stub: Stub) -> None:
    expect(part(page, "sign-in")).to_be_visible()
    stub.signed_in = True
    stub.failing_status = 503
    page.reload()
    expect(part(page, "retry")).to_be_visible()
    expect(part(page, "sign-in")).to_be_hidden()
    stub.failing_status = None
    part(page, "retry").click()
    expect(part(page, "user-name")).to_have_text("Dana Demo")


def test_the_page_shows_when_the_idle_time_is_over(page: Page, stub: Stub) -> None:
    stub.idle_seconds = 1.5
    sign_in(page)
    stub.signed_in = False
    expect(part(page, "notice")).to_have_text("Your session has ended.")
    expect(part(page, "sign-in")).to_be_visible()


def test_a_failed_silent_sign_in_is_explained(page: Page) -> None:
    part(page, "sign-in-silent").click()
    expect(part(page, "notice")).to_contain_text("please sign in yourself")
    assert "error" not in page.url


def test_a_failed_silent_sign_in_leaves_the_address_as_it_was(page: Page, stub: Stub) -> None:
    page.goto(f"{stub.origin}/?a%20b&flag#part")
    part(page, "sign-in-silent").click()
    expect(part(page, "notice")).to_contain_text("please sign in yourself")
    assert page.url == f"{stub.origin}/?a%20b&flag#part"


@pytest.mark.parametrize("width", [320, 390, 768, 1440])
def test_no_width_makes_the_page_scroll_sideways(browser: Browser, stub: Stub, width: int) -> None:
    stub.signed_in = True
    stub.user["name"] = "Wolfeschlegelsteinhausenbergerdorff-" * 3
    context = browser.new_context(viewport={"width": width, "height": 800})
    page = context.new_page()
    page.goto(stub.origin)
    part(page, "user-name").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    context.close()


# The first read of the browser's storage ends after the second.
SLOW_FIRST_LOOK = """
    const look = indexedDB.databases.bind(indexedDB);
    let looks = 0;
    indexedDB.databases = async () => {
        if (++looks > 1) return look();
        while (document.body.dataset.state !== "out") await new Promise((r) => setTimeout(r, 10));
        setTimeout(() => { window.slowLookDone = true; });
        return [];
    };
"""

CONTRAST = """() => {
    const channels = (text) => text.match(/[\\d.]+/g).map(Number);
    const light = ([r, g, b]) => {
        const [x, y, z] = [r, g, b].map((c) => c / 255)
            .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
        return 0.2126 * x + 0.7152 * y + 0.0722 * z;
    };
    const ground = (node) => {
        for (; node; node = node.parentElement) {
            const colour = channels(getComputedStyle(node).backgroundColor);
            if (colour.length === 3 || colour[3] === 1) return colour;
        }
        return [255, 255, 255];
    };
    const bad = [];
    for (const node of document.querySelectorAll("body *")) {
        const own = [...node.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
        if (!own || !node.checkVisibility()) continue;
        const pair = [light(channels(getComputedStyle(node).color)), light(ground(node))];
        const ratio = (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
        if (ratio < 4.5) bad.push(`${node.textContent.trim().slice(0, 30)}: ${ratio.toFixed(2)}`);
    }
    return bad;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read(browser: Browser, stub: Stub, scheme: Any) -> None:
    """WCAG 2.2, 1.4.3: a contrast of 4.5 to 1, in both colour schemes."""
    context = browser.new_context(color_scheme=scheme, reduced_motion="reduce")
    page = context.new_page()
    page.goto(stub.origin)
    part(page, "sign-in").wait_for()
    expect(part(page, "browser-holds")).to_contain_text("None readable")
    assert page.evaluate(CONTRAST) == []
    sign_in(page)
    part(page, "api-fail").click()
    expect(part(page, "api-output")).to_contain_text("404")
    expect(part(page, "devices").get_by_test_id("device")).to_have_count(2)
    assert page.evaluate(CONTRAST) == []
    context.close()


def test_everything_can_be_reached_and_has_a_name(page: Page) -> None:
    sign_in(page)
    expect(part(page, "devices").get_by_test_id("device")).to_have_count(2)
    unnamed = """() => [...document.querySelectorAll("button, a, input, section")].filter((e) =>
        e.checkVisibility() && !(e.textContent.trim() || e.labels?.length || e.ariaLabel))
        .map((e) => e.outerHTML)"""
    assert page.evaluate(unnamed) == []
    # ARIA 1.2, 5.2.8.6: what has no role of its own, or that of a paragraph, can't be named.
    assert page.locator(":is(div, span, p, dd, dt, code)[aria-label]:not([role])").count() == 0
    for landmark in ("banner", "main", "contentinfo"):
        expect(page.get_by_role(landmark)).to_have_count(1)
    levels = page.eval_on_selector_all(
        "h1, h2", "all => all.filter((h) => h.checkVisibility()).map((h) => h.tagName)"
    )
    assert levels[0] == "H1"
    assert levels.count("H1") == 1
    page.keyboard.press("Tab")
    focused = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert focused == "solid"
