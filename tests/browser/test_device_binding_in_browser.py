"""Chromium binds its sessions, behind nginx over TLS, and the user notices nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Browser, BrowserContext

from tests.browser.device_sessions import BOUND, DeviceSessions, flags
from tests.browser.installation import DEMO_SPA
from tests.deploy.nginx import BehindNginx
from tests.support.ageing import record_name
from tests.support.chromium import installed
from tests.support.waiting import wait_for

SESSION = "__Host-Http-session"
SETTINGS = {
    "BFF_DEVICE_BINDING": "offer",
    # Above two minutes: below, the browser refreshes with every request.
    "BFF_DEVICE_BINDING_SECONDS": "300",
    # Else no session outlasts the browser.
    "BFF_SESSION_PERSISTENT": "true",
    "BFF_SPA_DIR": str(DEMO_SPA),
}


@pytest.fixture(scope="module")
def here() -> Iterator[BehindNginx]:
    with BehindNginx(2, SETTINGS) as here:
        yield here


@pytest.fixture(scope="module")
def binding_browser(browser: Browser, here: BehindNginx) -> Iterator[Browser]:
    """A whole browser; the headless shell knows nothing of device-bound sessions."""
    kind = browser.browser_type
    path = installed(whole=True) or kind.executable_path
    launched = kind.launch(executable_path=path, headless=True, args=flags(here.certificate))
    yield launched
    launched.close()


@pytest.fixture
def context(binding_browser: Browser) -> Iterator[BrowserContext]:
    context = binding_browser.new_context()
    yield context
    context.close()


@pytest.fixture
def bound(context: BrowserContext, here: BehindNginx) -> DeviceSessions:
    """Signed in and bound, and not just now."""
    sessions = DeviceSessions(context, here.url)
    sessions.sign_in()
    let_time_pass(here, sessions)
    return sessions


def let_time_pass(here: BehindNginx, sessions: DeviceSessions) -> None:
    """Let the first seconds of the binding be over, in which no request needs the cookie."""
    name = record_name(here.cluster, sessions.cookies()[SESSION])
    here.cluster.store().hincrby(name, "bound_at", -60)
    here.cluster.wait_for_caches()


def elsewhere(here: BehindNginx, cookies: dict[str, str], replica: int) -> tuple[int, str]:
    """Status and code of a request with these cookies, at one replica, of another client."""
    fields = {
        "Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items()),
        "Sec-Fetch-Site": "same-origin",
    }
    url = f"{here.cluster.url(replica)}/auth/profile"
    response = requests.get(url, headers=fields, timeout=20)
    return response.status_code, response.json().get("code", "")


def test_a_sign_in_binds_the_session(bound: DeviceSessions) -> None:
    assert bound.cookies().keys() >= {SESSION, BOUND}
    listed = bound.page.evaluate("fetch('/auth/sessions').then(response => response.json())")
    assert [one["bound"] for one in listed["sessions"] if one["current"]] == [True]
    assert bound.page.evaluate("document.cookie") == ""


def test_forward_auth_lets_no_copied_session_cookie_through(
    here: BehindNginx, bound: DeviceSessions
) -> None:
    """The BFF's own 401 comes from nginx, which carries the requests of the page itself."""
    assert bound.fetch() == [200]
    fields = {"Cookie": f"{SESSION}={bound.cookies()[SESSION]}", "X-CSRF": "1"}
    response = requests.get(
        f"{here.url}/api/items", headers=fields, verify=str(here.certificate.ca_file), timeout=20
    )
    assert (response.status_code, response.json()["code"]) == (401, "device_unproven")
    # Of a browser that couldn't get the cookie, nginx tells the BFF.
    listed = bound.page.evaluate("fetch('/api/items').then(response => response.json())")
    assert not [name for name in listed["fields"] if "secure-session" in name or name == "cookie"]


def test_requests_after_the_cookie_s_end_are_held_and_succeed(bound: DeviceSessions) -> None:
    bound.end_cookie()
    before = len(bound.events("refresh"))
    assert bound.fetch(6) == [200] * 6
    refreshed = bound.wait_for("refresh", before + 1)
    assert refreshed["succeeded"]
    assert len(bound.events("refresh")) == before + 1
    assert not bound.events("termination")


def test_an_outage_in_the_middle_of_a_refresh_ends_nothing(
    here: BehindNginx, bound: DeviceSessions
) -> None:
    bound.end_cookie()
    here.cluster.redis.pause()
    try:
        assert set(bound.fetch(2)) == {503}
    finally:
        here.cluster.redis.resume()
    wait_for(lambda: bound.fetch() == [200], "the next request")
    assert bound.cookies().keys() >= {SESSION, BOUND}
    assert not bound.events("termination")


def test_two_tabs_share_the_binding(
    context: BrowserContext, here: BehindNginx, bound: DeviceSessions
) -> None:
    other = DeviceSessions(context, here.url)
    other.page.goto(here.url)
    for first, second in ((bound, other), (other, bound)):
        bound.end_cookie()
        assert first.fetch(2) == [200, 200]
        assert second.fetch(2) == [200, 200]
    assert not bound.events("termination")


def test_ten_tabs_are_restored_at_once(
    context: BrowserContext, here: BehindNginx, bound: DeviceSessions
) -> None:
    tabs = [context.new_page() for _ in range(10)]
    bound.end_cookie()
    for tab in tabs:
        # Without waiting for one before the next.
        tab.goto(here.url, wait_until="commit")
    for tab in tabs:
        assert tab.evaluate("fetch('/auth/profile').then(response => response.status)") == 200
    assert not bound.events("termination")
    assert bound.fetch() == [200]


def test_a_step_up_binds_the_new_session(here: BehindNginx, bound: DeviceSessions) -> None:
    old = bound.cookies()
    bound.sign_in("&max_age=0", bindings=2)
    let_time_pass(here, bound)
    assert bound.cookies()[SESSION] != old[SESSION]
    for _ in range(3):
        # The old binding is still in the browser at first; its end takes nothing with it.
        bound.end_cookie()
        assert bound.fetch(2) == [200, 200]
    assert elsewhere(here, old, 1) == (401, "session_ended")


def test_a_logout_ends_the_binding(here: BehindNginx, bound: DeviceSessions) -> None:
    copied = bound.cookies()
    status = bound.page.evaluate(
        "fetch('/auth/logout', {method: 'POST', headers: {'X-CSRF': '1'}}).then(r => r.status)"
    )
    assert status == 200
    assert not bound.cookies().keys() & {SESSION, BOUND}
    assert bound.fetch() == [401]
    ended = bound.wait_for("termination")
    assert ended["terminationEventDetails"]["deletionReason"]
    assert [elsewhere(here, copied, replica) for replica in (0, 1)] == [(401, "session_ended")] * 2
    assert bound.fetch() == [401]
    assert not bound.cookies().keys() & {SESSION, BOUND}


def test_another_site_cannot_end_it(context: BrowserContext, here: BehindNginx) -> None:
    """Its link into the API lacks the session's cookie."""
    bound = DeviceSessions(context, here.url)
    bound.sign_in()
    let_time_pass(here, bound)
    bound.end_cookie()
    foreign = context.new_page()
    foreign.goto(f'data:text/html,<a href="{here.url}/api/items">x</a>')
    foreign.get_by_text("x").click()
    foreign.wait_for_url(f"{here.url}/api/items")
    assert bound.fetch(2) == [200, 200]
    assert not bound.events("termination")


def test_a_restart_of_the_browser_goes_on(
    browser: Browser, here: BehindNginx, tmp_path: Path
) -> None:
    kind = browser.browser_type
    path = installed(whole=True) or kind.executable_path

    def start() -> BrowserContext:
        return kind.launch_persistent_context(
            tmp_path, executable_path=path, headless=True, args=flags(here.certificate)
        )

    context = start()
    first = DeviceSessions(context, here.url)
    first.sign_in()
    let_time_pass(here, first)
    first.end_cookie()
    context.close()
    context = start()
    again = DeviceSessions(context, here.url)
    again.page.goto(here.url)
    # The browser has its key still, and no challenge any more: it asks for one.
    assert again.fetch(3) == [200] * 3
    assert BOUND in again.cookies()
    assert not again.events("creation")
    context.close()


def test_a_copied_pair_is_worth_nothing_after_its_end(browser: Browser) -> None:
    """At no replica, while the owner goes on and notices nothing."""
    kind = browser.browser_type
    with BehindNginx(2, SETTINGS | {"BFF_DEVICE_BINDING_SECONDS": "10"}) as here:
        path = installed(whole=True) or kind.executable_path
        owner = kind.launch(executable_path=path, headless=True, args=flags(here.certificate))
        try:
            sessions = DeviceSessions(owner.new_context(), here.url)
            sessions.sign_in()
            let_time_pass(here, sessions)
            copied = sessions.cookies()
            assert [elsewhere(here, copied, n) for n in (0, 1)] == [(200, "")] * 2
            for replica in (0, 1):
                wait_for(
                    lambda n=replica: elsewhere(here, copied, n) == (401, "device_unproven"),  # type: ignore[misc]
                    "the end of the copied cookie",
                    60,
                )
                assert sessions.fetch(2) == [200, 200]
            assert [elsewhere(here, copied, n)[0] for n in (0, 1)] == [401, 401]
            assert sessions.fetch() == [200]
            assert not sessions.events("termination")
        finally:
            owner.close()
