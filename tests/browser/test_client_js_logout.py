"""`logout()` of `/auth/client.js` in a real browser: until the page is left, it stays as it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, Route, expect

from tests.browser.demo_page import demo_page, part, sign_in
from tests.browser.stub import Stub, serve

LOAD = """async () => {
    window.client = await import("/auth/client.js");
    window.told = [];
    for (const type of ["session-changed", "session-began", "session-ended"]) {
        client.session.addEventListener(type, ({ detail }) => told.push([type, detail.reason]));
    }
    await client.profile();
}"""
LEAVE = "void client.logout().catch(({ code }) => told.push(['failed', code]))"
ASK = """async () => {
    window.late = client.profile().then((me) => told.push(["profile", me]));
    const response = await client.apiFetch("/api/items");
    await client.report(await fetch("/api/items"));
    return response.status;
}"""
LEAVING_MILLISECONDS = 30_000


class Held:
    """A request that waits in the browser, in `route`; the BFF has ended the session meanwhile."""

    route: Route | None = None

    def __init__(self, page: Page, stub: Stub, address: str) -> None:
        self._page, self._stub = page, stub
        page.route(address, self._hold)

    def _hold(self, route: Route) -> None:
        self._stub.signed_in = False
        self.route = route

    def come(self) -> Route:
        """The request, once the browser has sent it."""
        while self.route is None:
            self._page.wait_for_timeout(5)
        return self.route


@pytest.fixture
def stub() -> Iterator[Stub]:
    with serve(Stub(spa_dir=None, signed_in=True)) as stub:
        yield stub


@pytest.fixture
def page(context: BrowserContext, stub: Stub) -> Page:
    page = context.new_page()
    page.clock.install()
    page.goto(stub.origin)
    page.evaluate(LOAD)
    return page


def test_what_is_refused_meanwhile_tells_the_page_nothing(page: Page, stub: Stub) -> None:
    held = Held(page, stub, "**/auth/logout")
    page.evaluate(LEAVE)
    route = held.come()
    assert page.evaluate(ASK) == 401
    assert page.evaluate("told") == []
    with page.expect_navigation(url="**/?signed-out"):
        route.continue_()


def test_neither_while_the_provider_is_slow(page: Page, stub: Stub) -> None:
    """The page asks by itself: from outside it can't be asked before the navigation is over."""
    held = Held(page, stub, "**/?signed-out")
    notes: list[Any] = []
    page.expose_function("note", lambda one: notes.append(one))
    page.evaluate(f"""() => navigation.addEventListener("navigate", async () => {{
        note(await ({ASK})());
        note(told);
    }})""")
    page.evaluate(LEAVE)
    held.come()
    while len(notes) < 2:
        page.wait_for_timeout(5)
    assert notes == [401, []]


def test_other_tabs_hear_that_the_user_signed_out(
    page: Page, context: BrowserContext, stub: Stub
) -> None:
    other = context.new_page()
    other.goto(stub.origin)
    other.evaluate(LOAD)
    held = Held(page, stub, "**/auth/logout")
    page.evaluate(LEAVE)
    route = held.come()
    assert page.evaluate(ASK) == 401
    with page.expect_navigation(url="**/?signed-out"):
        route.continue_()
    other.wait_for_function("() => told.length > 0")
    assert other.evaluate("told") == [["session-ended", "signed_out"]]


def test_after_a_logout_that_failed_the_page_is_told(page: Page, stub: Stub) -> None:
    """The session has ended meanwhile for another reason."""
    held = Held(page, stub, "**/auth/logout")
    page.evaluate(LEAVE)
    route = held.come()
    assert page.evaluate(ASK) == 401
    stub.failing_status = 503
    route.continue_()
    page.wait_for_function("() => told.length >= 3")
    assert sorted(page.evaluate("told")) == [
        ["failed", "store_unavailable"],
        ["profile", None],
        ["session-ended", "session_ended"],
    ]


def test_a_page_that_is_not_left_is_told_in_the_end(page: Page, stub: Stub) -> None:
    held = Held(page, stub, "**/?signed-out")
    page.evaluate(LEAVE)
    held.come().fulfill(status=204)
    assert page.evaluate(ASK) == 401
    assert page.evaluate("told") == []
    page.clock.run_for(LEAVING_MILLISECONDS)
    page.wait_for_function("() => told.length >= 2")
    assert sorted(page.evaluate("told")) == [["profile", None], ["session-ended", "signed_out"]]
    stub.signed_in = True
    page.evaluate("client.profile()")
    assert page.evaluate("told.at(-1)[0]") == "session-began"


def test_a_session_that_began_meanwhile_is_not_told_as_ended(page: Page, stub: Stub) -> None:
    held = Held(page, stub, "**/?signed-out")
    page.evaluate(LEAVE)
    held.come().fulfill(status=204)
    stub.signed_in = True
    page.evaluate("client.profile()")
    page.clock.run_for(LEAVING_MILLISECONDS)
    assert page.evaluate("told") == [["session-began", None]]


def test_the_demo_offers_no_sign_in_while_it_signs_out(context: BrowserContext) -> None:
    context.clock.install()
    with serve(Stub()) as stub, demo_page(context, stub) as page:
        sign_in(page)
        held = Held(page, stub, "**/auth/logout")
        part(page, "sign-out").click()
        route = held.come()
        part(page, "api-items").click()
        part(page, "devices-refresh").click()
        expect(part(page, "api-output")).to_contain_text("401")
        expect(part(page, "sign-in")).to_be_hidden()
        expect(part(page, "notice")).to_be_hidden()
        route.continue_()
        expect(part(page, "sign-in")).to_be_visible()
