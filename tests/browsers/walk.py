"""Which steps do the tests in three browsers share?"""

from __future__ import annotations

import time

from tests.browser.installation import Installation
from tests.browsers.webdriver import Session
from tests.support.cluster import EMAIL, PASSWORD
from tests.support.waiting import wait_for
from tests.support.wire_record import Exchange

SESSION = "__Host-Http-session"
PROFILE = "return (await fetch('/auth/profile')).status"
SIGN_OUT = "await fetch('/auth/logout', { method: 'POST', headers: { 'X-CSRF': '1' } })"
_REGISTER = """
    const controlled = new Promise((done) => {
        navigator.serviceWorker.addEventListener("controllerchange", () => done());
    });
    await navigator.serviceWorker.register(given[0]);
    if (!navigator.serviceWorker.controller) await controlled;
"""
_POST_FORM = """
    const [action] = given;
    const form = Object.assign(document.createElement("form"),
        { method: "post", action, enctype: "text/plain" });
    document.body.append(form);
    form.submit();
"""
_ADD_LINK = """
    const [href] = given;
    const link = Object.assign(document.createElement("a"), { href, textContent: "A link" });
    document.body.append(link);
"""


def part(name: str) -> str:
    """The selector of a part of the demo's app."""
    return f'[data-testid="{name}"]'


def sign_in(browser: Session, app: Installation) -> str:
    """From the app through the provider's form and back; returns the session cookie."""
    since = time.monotonic()
    browser.go(app.origin)
    browser.click(part("sign-in"))
    sign_in_at_provider(browser)
    browser.wait(part("user-name"))
    return session_cookies(app, since)[-1]


def session_cookies(app: Installation, since: float) -> list[str]:
    """Every session cookie that was set, by what was sent: WebKitGTK's driver doesn't show it."""
    responses = [e.response for e in app.front.exchanges(since) if e.response]
    fields = [value for one in responses for name, value in one.fields if name == "set-cookie"]
    set_to = [value.partition(";")[0].partition("=") for value in fields]
    return [value for name, _, value in set_to if name == SESSION and value]


def sign_in_at_provider(browser: Session, email: str = EMAIL) -> None:
    """Fill in the provider's form."""
    browser.type("[name=username]", email)
    browser.type("[name=password]", PASSWORD)
    browser.click("button")


def use_worker(browser: Session, script: str = "/sw.js") -> None:
    """Register a service worker, which controls the page from now on."""
    browser.run(_REGISTER, script)


def post_form(browser: Session, action: str) -> None:
    """The page posts a form."""
    browser.leave(_POST_FORM, action)


def follow_link(browser: Session, href: str) -> None:
    """The user clicks a link of the page, really: browsers tell a click from a script."""
    browser.run(_ADD_LINK, href)
    browser.click("a:last-of-type")


def responses_to(app: Installation, path: str, since: float) -> list[Exchange]:
    """The exchanges with *path*, once the first has a response."""
    found: list[Exchange] = []

    def look() -> bool:
        found[:] = [e for e in app.front.exchanges(since) if e.path == path and e.response]
        return bool(found)

    wait_for(look, path)
    return found


def response_to(app: Installation, path: str, since: float) -> Exchange:
    """The only exchange with *path*."""
    (found,) = responses_to(app, path, since)
    return found


def fetch_metadata(exchange: Exchange) -> tuple[str, str, str]:
    """What the browser says of the request: site, mode and destination."""
    site, mode, destination = (
        exchange.request.get(f"sec-fetch-{name}") for name in ("site", "mode", "dest")
    )
    return site, mode, destination
