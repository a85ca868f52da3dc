"""A link or a redirect of another site asks before it signs anybody out, and clears nothing."""

from __future__ import annotations

import time

import pytest
import requests

from tests.browser.installation import Installation
from tests.browsers.walk import (
    PROFILE,
    SESSION,
    fetch_metadata,
    follow_link,
    part,
    response_to,
    sign_in,
)
from tests.browsers.webdriver import Session
from tests.support.ageing import record_name

PATH = "/auth/logout"


def asked(browser: Session, app: Installation, from_page: str, href: str) -> str:
    """Follow a link; the logout asks and clears nothing. Returns the cookies that came."""
    browser.go(from_page)
    since = time.monotonic()
    follow_link(browser, href)
    browser.wait_for_text("Sign out?")
    exchange = response_to(app, PATH, since)
    assert exchange.status == 200
    assert exchange.response
    assert SESSION not in exchange.response.get("set-cookie")
    return exchange.request.get("cookie")


@pytest.mark.parametrize("from_other_site", [True, False], ids=["other site", "sibling"])
def test_a_link_asks_and_its_button_ends_the_session(
    browser: Session, app: Installation, other_site: str, sibling: str, from_other_site: bool
) -> None:
    copied = sign_in(browser, app)
    origin = other_site if from_other_site else sibling
    came = asked(browser, app, origin, app.origin + PATH)
    assert (SESSION in came) is not from_other_site, "a Strict cookie"
    since = time.monotonic()
    browser.click("button")
    browser.wait(part("sign-in"))
    ended = response_to(app, PATH, since)
    assert f"{SESSION}={copied}" in ended.request.get("cookie"), "it was cleared before it ended"
    assert ended.response
    assert f"{SESSION}=;" in ended.response.get("set-cookie")
    assert browser.run(PROFILE) == 401
    assert app.cluster.store().exists(record_name(app.cluster, copied)) == 0
    old = requests.get(
        f"{app.cluster.url()}/auth/profile",
        headers={"Sec-Fetch-Site": "same-origin", "Cookie": f"{SESSION}={copied}"},
        timeout=20,
    )
    assert old.status_code == 401


@pytest.mark.parametrize("redirects", [1, 2])
@pytest.mark.parametrize("from_other_site", [True, False], ids=["other site", "sibling"])
def test_redirects_without_a_referrer_ask_too(
    browser: Session, app: Installation, other_site: str, sibling: str, from_other_site: bool,
    redirects: int,
) -> None:  # fmt: skip
    sign_in(browser, app)
    origin = other_site if from_other_site else sibling
    href = app.origin + PATH
    for _ in range(redirects):
        href = f"{origin}/redirect?to={href}"
    since = time.monotonic()
    asked(browser, app, origin, href)
    site, _, _ = fetch_metadata(response_to(app, PATH, since))
    told = "cross-site" if from_other_site else "same-site"
    assert site == ("none" if browser.kind == "firefox" and redirects == 2 else told)
    browser.go(app.origin)
    assert browser.run(PROFILE) == 200


def test_a_typed_address_elsewhere_that_leads_to_the_logout_asks_too(
    browser: Session, app: Installation, other_site: str
) -> None:
    """Without the Strict cookie, whose session 0.1.0 left open when it deleted the cookie."""
    copied = sign_in(browser, app)
    since = time.monotonic()
    browser.go(f"{other_site}/redirect?to={app.origin}{PATH}")
    browser.wait_for_text("Sign out?")
    exchange = response_to(app, PATH, since)
    assert exchange.response
    assert SESSION not in exchange.response.get("set-cookie")
    assert fetch_metadata(exchange) == ("none", "navigate", "document")
    assert (SESSION in exchange.request.get("cookie")) == (browser.kind == "chromium")
    browser.click("button")
    browser.wait(part("sign-in"))
    assert app.cluster.store().exists(record_name(app.cluster, copied)) == 0
