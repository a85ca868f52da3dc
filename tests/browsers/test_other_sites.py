"""What a hostile page reaches with a link, a form or a planted cookie; SECURITY.md has the table.

Each row states what each browser really gets, with the default settings and with the strict ones.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.browser.installation import Installation
from tests.browsers.walk import (
    PROFILE,
    SESSION,
    fetch_metadata,
    follow_link,
    post_form,
    response_to,
    sign_in,
    use_worker,
)
from tests.browsers.webdriver import Session
from tests.support.ageing import record_name

# What the browser says of a sibling's form or link behind a worker that passes it on.
PASSED_ON = {
    "chromium": ("same-site", "navigate", "empty"),
    "firefox": ("same-origin", "same-origin", "empty"),
    "webkit": ("same-origin", "navigate", "empty"),
}
SLIDING = "/auth/profile?slide=true"


@pytest.fixture(params=["default", "strict"])
def strict(request: pytest.FixtureRequest) -> bool:
    """Whether the settings are the strict ones."""
    return bool(request.param == "strict")


@pytest.fixture
def target(request: pytest.FixtureRequest, strict: bool) -> Iterator[Installation]:
    """The installation under attack."""
    yield request.getfixturevalue("strict_app" if strict else "app")


def still_signed_in(browser: Session, target: Installation) -> None:
    browser.go(target.origin)
    assert browser.run(PROFILE) == 200


@pytest.mark.parametrize(
    ("from_page", "path"),
    [("sibling", "/api/items"), ("sibling", "/auth/logout"), ("other_site", "/auth/logout")],
)
@pytest.mark.parametrize("worker", [False, True], ids=["no worker", "worker"])
def test_a_form_of_a_hostile_page_is_refused(
    request: pytest.FixtureRequest, browser: Session, target: Installation, from_page: str,
    path: str, worker: bool,
) -> None:  # fmt: skip
    origin: str = request.getfixturevalue(from_page)
    site = "same-site" if from_page == "sibling" else "cross-site"
    sign_in(browser, target)
    if worker:
        use_worker(browser)
    browser.go(origin)
    since = time.monotonic()
    post_form(browser, target.origin + path)
    exchange = response_to(target, path, since)
    told = PASSED_ON[browser.kind] if worker else (site, "navigate", "document")
    assert fetch_metadata(exchange) == (site if told[0] == "same-site" else told[0], *told[1:])
    # Behind the worker, Firefox rewrites even `Origin`.
    rewritten = worker and browser.kind == "firefox"
    assert exchange.request.get("origin") == (target.origin if rewritten else origin)
    assert exchange.status == (200 if rewritten and path == "/auth/logout" else 403)
    if exchange.status == 200:
        browser.wait_for_text("Sign out?")
    still_signed_in(browser, target)


@pytest.mark.parametrize("path", ["/api/items", "/auth/logout"])
def test_only_the_setting_refuses_a_form_that_a_worker_sends_anew(
    browser: Session, target: Installation, strict: bool, sibling: str, path: str
) -> None:
    """A worker that makes a request of its own hides who posted the form."""
    sign_in(browser, target)
    use_worker(browser, "/sw-anew.js")
    browser.go(sibling)
    since = time.monotonic()
    post_form(browser, target.origin + path)
    exchange = response_to(target, path, since)
    assert fetch_metadata(exchange) == ("same-origin", "cors", "empty")
    assert exchange.request.get("origin") == target.origin
    if strict:
        assert exchange.status == 403
        still_signed_in(browser, target)
    elif path == "/api/items":
        assert exchange.status == 415, "it reached the API, which takes only JSON"
    else:
        assert exchange.status == 200, "it signed out"


@pytest.mark.parametrize("path", ["/api/items", SLIDING])
@pytest.mark.parametrize("redirects", [0, 1, 2])
def test_a_sibling_s_link_extends_no_session(
    browser: Session, target: Installation, strict: bool, sibling: str, path: str, redirects: int
) -> None:
    cookie = sign_in(browser, target)
    href = target.origin + path
    for _ in range(redirects):
        href = f"{sibling}/redirect?to={href}"
    browser.go(sibling)
    name, store = record_name(target.cluster, cookie), target.cluster.store()
    left = store.hincrby(name, "idle_ends_at", -3600)
    target.cluster.wait_for_caches()
    since = time.monotonic()
    follow_link(browser, href)
    exchange = response_to(target, path.partition("?")[0], since)
    hidden = browser.kind == "firefox" and redirects == 2
    assert fetch_metadata(exchange)[0] == ("none" if hidden else "same-site")
    assert SESSION in exchange.request.get("cookie")
    assert exchange.status == (200 if hidden and not strict else 403)
    assert int(store.hget(name, "idle_ends_at") or 0) == left


@pytest.mark.parametrize("path", ["/api/items", SLIDING])
def test_a_sibling_s_link_behind_a_worker_opens_what_a_get_opens(
    browser: Session, target: Installation, strict: bool, sibling: str, path: str
) -> None:
    """Firefox and WebKit hide whose link it was; only `BFF_REQUIRE_CSRF_HEADER` helps, for /api."""
    sign_in(browser, target)
    use_worker(browser)
    browser.go(sibling)
    since = time.monotonic()
    follow_link(browser, target.origin + path)
    exchange = response_to(target, path.partition("?")[0], since)
    assert fetch_metadata(exchange) == PASSED_ON[browser.kind]
    refused = browser.kind == "chromium" or (strict and path == "/api/items")
    assert exchange.status == (403 if refused else 200)


def test_a_planted_cookie_never_replaces_ours(
    browser: Session, app: Installation, sibling: str
) -> None:
    ours = sign_in(browser, app)
    browser.go(sibling)
    browser.run(f"document.cookie = '{SESSION}={'x' * 43}; Secure; Path=/; Domain=bff.localhost'")
    since = time.monotonic()
    browser.go(f"{app.origin}/auth/profile")
    came = response_to(app, "/auth/profile", since)
    assert f"{SESSION}={ours}" in came.request.get("cookie")
    # WebKitGTK doesn't enforce the prefix. It sends the older cookie first, which is ours.
    assert came.request.get("cookie").count(f"{SESSION}=") == (2 if browser.kind == "webkit" else 1)
    assert came.status == 200
