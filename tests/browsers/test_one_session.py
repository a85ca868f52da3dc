"""A logout ends every session of the browser, however its sign-ins overlapped, at three processes.

One round of each way; `tests/promises/test_2_one_session_per_browser.py` has many, without a
browser.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest
import requests

from tests.browser.installation import Installation, installation
from tests.browsers.conftest import APP_HOST
from tests.browsers.walk import (
    PROFILE,
    SESSION,
    SIGN_OUT,
    follow_link,
    part,
    responses_to,
    session_cookies,
    sign_in,
    sign_in_at_provider,
)
from tests.browsers.webdriver import Session
from tests.support.certificate import Certificate
from tests.support.cluster import EMAIL, PASSWORD
from tests.support.waiting import wait_for

pytestmark = pytest.mark.session_cache

REPLICAS = 3
TABS = 10
OTHER_EMAIL = "eve@example.com"
USERS = [
    {"sub": f"auth0|{email}", "name": email, "email": email, "password": PASSWORD}
    for email in (EMAIL, OTHER_EMAIL)
]
AT = "setTimeout(() => location.assign(given[0]), given[1] - Date.now())"
SUBMIT_AT = "setTimeout(() => document.querySelector('button').click(), given[0] - Date.now())"
AHEAD_SECONDS = 3
"""Until all tabs do the same at the same instant; as long as it takes to tell all of them."""


@pytest.fixture(scope="module")
def app(session_cache: str, certificate: Certificate) -> Iterator[Installation]:
    """Three processes; the connections of a browser go to one after the other."""
    with installation(
        certificate, host=APP_HOST, provider={"users": USERS}, replicas=REPLICAS
    ) as started:
        yield started


def at_once() -> float:
    """An instant for all tabs, in milliseconds."""
    return (time.time() + AHEAD_SECONDS) * 1000


def by_a_link(browser: Session, app: Installation, other_site: str) -> None:
    sign_in(browser, app)
    browser.go(other_site)
    since = time.monotonic()
    follow_link(browser, f"{app.origin}/auth/login")
    browser.wait(part("user-name"))
    (begun,) = responses_to(app, "/auth/login", since)
    assert SESSION not in begun.request.get("cookie")


def in_two_tabs(browser: Session, app: Installation, _: str) -> None:
    finish_in_two_tabs(browser, app, "/auth/login")


def as_another_user(browser: Session, app: Installation, other_site: str) -> None:
    sign_in(browser, app)
    browser.go(other_site)
    follow_link(browser, f"{app.origin}/auth/login?prompt=login")
    sign_in_at_provider(browser, OTHER_EMAIL)
    browser.wait(part("user-name"))


def two_step_ups(browser: Session, app: Installation, _: str) -> None:
    sign_in(browser, app)
    finish_in_two_tabs(browser, app, "/auth/login?max_age=0")


def finish_in_two_tabs(browser: Session, app: Installation, path: str) -> None:
    tabs = [browser.tab(), browser.new_tab()]
    for tab in tabs:
        browser.switch_to(tab)
        browser.go(app.origin + path)
        browser.type("[name=username]", EMAIL)
        browser.type("[name=password]", PASSWORD)
    in_all_tabs(browser, tabs, SUBMIT_AT, at_once())
    for tab in tabs:
        browser.switch_to(tab)
        wait_for(lambda: browser.url().startswith(app.origin), "back at the app")


def restored_tabs(browser: Session, app: Installation, _: str) -> None:
    """The session has ended, the provider's hasn't; silent sign-ins show no page."""
    sign_in(browser, app)
    browser.run(SIGN_OUT)
    tabs = [browser.tab(), *(browser.new_tab() for _ in range(TABS - 1))]
    for tab in tabs:
        browser.switch_to(tab)
        browser.go(f"{app.origin}/favicon.svg")
    silent = "/auth/login?prompt=none&returnTo=/inbox"
    since = time.monotonic()
    in_all_tabs(browser, tabs, AT, silent, at_once())
    for tab in tabs:
        browser.switch_to(tab)
        wait_for(lambda: urlsplit(browser.url()).path == "/inbox", "back at the app")
    callbacks = responses_to(app, "/auth/callback", since)
    assert [one.status for one in callbacks] == [303] * TABS


def in_all_tabs(browser: Session, tabs: list[str], script: str, *given: object) -> None:
    for tab in tabs:
        browser.switch_to(tab)
        browser.run(script, *given)


WAYS = [by_a_link, in_two_tabs, as_another_user, two_step_ups, restored_tabs]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: str(way.__name__))
def test_after_a_logout_no_session_of_the_browser_is_left(
    browser: Session, app: Installation, other_site: str,
    way: Callable[[Session, Installation, str], None],
) -> None:  # fmt: skip
    since = time.monotonic()
    way(browser, app, other_site)
    browser.go(app.origin)
    if browser.run(PROFILE) == 401:
        # Responses overtook each other; the page does this by itself.
        browser.go(f"{app.origin}/auth/login?prompt=none")
    leaving = time.monotonic()
    browser.click(part("sign-out"))
    assert responses_to(app, "/auth/logout", leaving)[0].status == 200
    # The provider may ask: of two sign-ins at its form, its cookie is of the one or of the other.
    browser.go(app.origin)
    browser.wait(part("sign-in"))
    assert browser.run(PROFILE) == 401
    cookies = set(session_cookies(app, since))
    assert cookies
    for cookie in cookies:
        assert [opens(app, cookie, replica) for replica in range(REPLICAS)] == [401] * REPLICAS
    active = app.cluster.active_refresh_tokens
    wait_for(lambda: active() == 0, "every refresh token is revoked", 30)
    assert app.cluster.keys("session") == []


def opens(app: Installation, cookie: str, replica: int) -> int:
    """The status of a request with the copied cookie."""
    return requests.get(
        f"{app.cluster.url(replica)}/auth/profile",
        headers={"Sec-Fetch-Site": "same-origin", "Cookie": f"{SESSION}={cookie}"},
        timeout=20,
    ).status_code
