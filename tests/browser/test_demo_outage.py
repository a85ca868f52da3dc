"""The demo's page in a real browser while the network, the BFF or the API is away, and after it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, Page, Route, expect

from tests.browser.demo_page import demo_page, part, sign_in
from tests.browser.stub import Stub, serve

pytestmark = pytest.mark.session_cache
AGAIN_MILLISECONDS = 3_000


@pytest.fixture
def stub() -> Iterator[Stub]:
    with serve(Stub()) as stub:
        yield stub


@pytest.fixture
def page(context: BrowserContext, stub: Stub) -> Iterator[Page]:
    context.clock.install()
    with demo_page(context, stub) as page:
        yield page
        assert "Failed to fetch" not in page.content()


def away(page: Page, path: str) -> None:
    page.route(path, lambda route: route.abort("connectionrefused"))


def test_offline_is_said_and_passes_by_itself(page: Page, context: BrowserContext) -> None:
    for state in ("sign-in", "sign-out"):
        expect(part(page, state)).to_be_visible()
        context.set_offline(True)
        expect(part(page, "outage")).to_contain_text("You are offline.")
        expect(part(page, state)).to_be_visible()
        context.set_offline(False)
        expect(part(page, "outage")).to_be_hidden()
        if state == "sign-in":
            sign_in(page)


@pytest.mark.parametrize("how", ["refused", "503"])
def test_a_page_that_opens_in_an_outage_comes_by_itself(page: Page, stub: Stub, how: str) -> None:
    sign_in(page)
    if how == "refused":
        away(page, "**/auth/profile")
    else:
        stub.failing_status = 503
    page.reload()
    words = "The server can’t be reached." if how == "refused" else "Because of store_unavailable."
    expect(page.get_by_text(f"{words} This page tries again by itself.")).to_be_visible()
    expect(part(page, "sign-in")).to_be_hidden()
    page.unroute_all()
    stub.failing_status = None
    page.clock.run_for(AGAIN_MILLISECONDS)
    expect(part(page, "user-name")).to_have_text("Dana Demo")
    expect(part(page, "device")).to_have_count(2)


def test_what_does_not_pass_is_not_tried_again(page: Page, stub: Stub) -> None:
    sign_in(page)
    stub.failing_status = 403
    page.reload()
    expect(part(page, "retry")).to_be_visible()
    asked = len(stub.asked("GET", "/auth/profile"))
    page.clock.run_for(5 * AGAIN_MILLISECONDS)
    assert len(stub.asked("GET", "/auth/profile")) == asked
    assert "by itself" not in part(page, "retry").locator("xpath=../..").inner_text()


def test_a_read_comes_by_itself_when_the_api_is_back(page: Page) -> None:
    sign_in(page)
    output = part(page, "api-output")
    for fault in (
        lambda route: route.abort("connectionrefused"),
        lambda route: route.fulfill(status=502, body="<h1>Bad gateway</h1>"),
    ):
        page.route("**/api/items", fault)
        part(page, "api-items").click()
        expect(output).to_contain_text("Trying again by itself")
        page.unroute("**/api/items")
        page.clock.run_for(AGAIN_MILLISECONDS)
        expect(output).to_contain_text('"items": []')


def test_a_write_without_an_answer_is_sent_once_and_its_text_stays(page: Page, stub: Stub) -> None:
    sent: list[str] = []

    def lose(route: Route) -> None:
        sent.append(route.request.method)
        route.abort("connectionreset")

    sign_in(page)
    page.route("**/api/items", lose)
    title = page.get_by_label("Title of the new item")
    title.fill("Tea")
    part(page, "api-add").click()
    expect(part(page, "api-output")).to_contain_text("The server can’t be reached. It may have")
    expect(title).to_have_value("Tea")
    page.clock.run_for(5 * AGAIN_MILLISECONDS)
    assert sent == ["POST"]


def test_the_list_of_devices_comes_by_itself(page: Page) -> None:
    away(page, "**/auth/sessions")
    sign_in(page)
    expect(part(page, "devices-problem")).to_contain_text("The server can’t be reached.")
    page.unroute_all()
    page.clock.run_for(AGAIN_MILLISECONDS)
    expect(part(page, "device")).to_have_count(2)
    expect(part(page, "devices-problem")).to_be_empty()


def test_live_events_come_again_by_themselves(page: Page) -> None:
    sign_in(page)
    page.route("**/api/events", lambda route: route.fulfill(status=502))
    part(page, "stream-toggle").click()
    expect(part(page, "stream-state")).to_have_text("Reconnecting")
    page.unroute_all()
    page.clock.run_for(AGAIN_MILLISECONDS)
    expect(part(page, "stream-state")).to_have_text("Live")
    part(page, "stream-toggle").click()
    expect(part(page, "stream-state")).to_have_text("Off")


def test_a_logout_that_did_not_arrive_is_said_in_plain_words(page: Page, stub: Stub) -> None:
    sign_in(page)
    away(page, "**/auth/logout")
    part(page, "sign-out").click()
    expect(part(page, "notice")).to_have_text("You are not signed out. Please try again.")
    page.unroute_all()
    part(page, "sign-out").click()
    page.wait_for_url("**/?signed-out")


def test_a_logout_whose_answer_was_lost_is_found_out(page: Page, stub: Stub) -> None:
    def lose(route: Route) -> None:
        stub.signed_in = False
        route.abort("connectionreset")

    sign_in(page)
    page.route("**/auth/logout", lose)
    part(page, "sign-out").click()
    expect(part(page, "notice")).to_have_text("Your session has ended.")
    expect(part(page, "sign-in")).to_be_visible()
