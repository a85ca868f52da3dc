"""The demo's list of devices in a real browser: they are told apart, and signed out."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, Page, expect

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


def test_another_device_can_be_signed_out(page: Page, stub: Stub) -> None:
    sign_in(page)
    devices = part(page, "devices")
    expect(devices.get_by_test_id("device")).to_have_count(2)
    expect(devices.locator("[data-current=true]")).to_contain_text("Chromium on Linux")
    devices.get_by_role("button", name="Sign out Safari on iPhone").click()
    expect(devices.get_by_test_id("device")).to_have_count(1)
    assert stub.asked("DELETE", "/auth/sessions/s2") == ["1"]


def test_two_of_the_same_browser_are_told_apart(page: Page, stub: Stub) -> None:
    """By the second at which the user signed in; also for those who hear the page."""
    twin = stub.sessions[1] | {"created_at": time.time() - 199_940}
    stub.sessions += [twin | {"id": "s3"}, twin | {"id": "s4", "created_at": 0, "browser": ""}]
    sign_in(page)
    devices = part(page, "devices").get_by_test_id("device")
    expect(devices).to_have_count(4)
    texts, names = devices.all_inner_texts(), part(page, "device-end").all()
    labels = [name.get_attribute("aria-label") for name in names]
    assert len(set(texts)) == 4
    assert len(set(labels)) == 3
    expect(devices.filter(has_text="This one")).to_have_count(1)
    expect(devices.filter(has_text="Signed in 1 Jan 1970")).to_contain_text("Unknown browser")


def test_all_others_are_signed_out_at_once(page: Page, stub: Stub) -> None:
    stub.sessions.append(stub.sessions[1] | {"id": "s3"})
    sign_in(page)
    part(page, "devices-end-others").click()
    expect(part(page, "device")).to_have_count(1)
    expect(part(page, "notice")).to_have_text("2 other devices are signed out.")
    expect(part(page, "devices-end-others")).to_be_hidden()
    assert stub.asked("DELETE", "/auth/sessions") == ["1"]


@pytest.mark.parametrize("which", ["device-end", "devices-end-others"])
def test_a_sign_in_that_is_too_old_is_offered_anew(page: Page, stub: Stub, which: str) -> None:
    stub.fresh = False
    sign_in(page)
    part(page, which).click()
    said = part(page, "devices-problem")
    expect(said).to_contain_text("Because of sign_in_not_fresh.")
    expect(part(page, "device")).to_have_count(2)
    said.get_by_role("link", name="Sign in again").click()
    expect(part(page, "user-name")).to_be_visible()
    assert stub.asked("GET", "/auth/login?max_age=0&returnTo=%2F") == [None]


def test_a_device_that_is_gone_already_is_no_failure(page: Page, stub: Stub) -> None:
    sign_in(page)
    expect(part(page, "device")).to_have_count(2)
    del stub.sessions[1]
    part(page, "device-end").click()
    expect(part(page, "device")).to_have_count(1)
    expect(part(page, "devices-problem")).to_be_empty()
