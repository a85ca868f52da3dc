"""Where does a real browser go with an accepted `returnTo`? Only to our own pages.

Chromium's own URL parser decides, for the table of hostile values and for every short combination
of what makes addresses ambiguous.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from bff.core.errors import ReturnToInvalid
from bff.web.return_to import OWN_FOLDERS, checked_return_to
from tests.browser.installation import Installation, installation
from tests.browser.whole_flow import WAIT_MS, part, sign_in
from tests.web.test_return_to import CONFIG, GOOD, HOSTILE, ORIGIN

PIECES = (
    "/", "\\", "%2f", "%5C", "%09", "\t", "\n", "\r", " ", "\x00", "..", ".", "%2e", "@", ":",
    "https:", "//evil.example", "evil.example", "auth", "%61pi", "?", "#", "%", "%25", ";", "\xa0",
    "\uff0f", "javascript:", "[", "~", "%c3%9f",
)  # fmt: skip
RESOLVE = """([values, origin]) => JSON.parse(values).map((value) => {
    try {
        const url = new URL(value, origin + "/");
        const { protocol, username, password } = url;
        return [url.origin, protocol, username + password, url.pathname];
    } catch { return null; }
})"""
"""`values` is JSON in ASCII, since lone surrogates don't reach the browser."""

Resolved = list[list[str] | None]


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context()
    yield context.new_page()
    context.close()


def resolved(page: Page, values: list[str], origin: str = ORIGIN) -> Resolved:
    """Origin, scheme, userinfo and path as Chromium parses each value; None if it can't."""
    response: Resolved = page.evaluate(RESOLVE, [json.dumps(values), origin])
    assert len(response) == len(values)
    return response


def accepted(value: str) -> bool:
    try:
        return checked_return_to(value, CONFIG) == value
    except ReturnToInvalid:
        return False


def strays(page: Page, values: Iterable[str]) -> list[str]:
    """The accepted values with which Chromium leaves our pages."""
    ours = [value for value in values if accepted(value)]
    pairs = zip(ours, resolved(page, ours), strict=True)
    return [value for value, found in pairs if not is_page_of_ours(found)]


def is_page_of_ours(found: list[str] | None) -> bool:
    if found is None or found[:3] != [ORIGIN, "https:", ""]:
        return False
    return found[3].split("/")[1].casefold() not in OWN_FOLDERS


def test_return_to_an_accepted_value_keeps_chromium_on_our_pages(page: Page) -> None:
    assert strays(page, HOSTILE + GOOD) == []
    assert all(accepted(value) for value in GOOD)


def test_return_to_a_value_that_leaves_the_origin_in_chromium_is_refused(page: Page) -> None:
    found = resolved(page, HOSTILE)
    leaving = [v for v, r in zip(HOSTILE, found, strict=True) if r is None or r[0] != ORIGIN]
    assert len(leaving) >= 30, "the table has too few hostile values"
    assert [value for value in leaving if accepted(value)] == []


@pytest.mark.parametrize("pieces", [1, 2, 3])
def test_return_to_no_short_combination_leaves_our_pages_in_chromium(
    page: Page, pieces: int
) -> None:
    for first in ("", "/"):
        values = [first + "".join(one) for one in itertools.product(PIECES, repeat=pieces)]
        assert strays(page, values) == []


@pytest.fixture(scope="module")
def started() -> Iterator[Installation]:
    with installation() as started:
        yield started


@pytest.fixture(scope="module")
def signed_in(browser: Browser, started: Installation) -> Iterator[Page]:
    context = browser.new_context()
    page = context.new_page()
    sign_in(page, started)
    yield page
    context.close()


def test_return_to_a_sign_in_ends_at_its_page(page: Page, started: Installation) -> None:
    """In the real flow, where the browser parses `Location` and not only `new URL`."""
    sign_in(page, started)
    for value in GOOD:
        address = page.evaluate("encodeURIComponent", value)
        page.goto(f"{started.origin}/auth/login?prompt=none&returnTo={address}")
        expected = page.evaluate("(value) => new URL(value, location.origin).href", value)
        assert page.url == expected


def test_return_to_a_hostile_value_gets_an_error_page(page: Page, started: Installation) -> None:
    for value in ("//evil.example", "/%09/evil.example", "/\\evil.example", "/auth/logout"):
        page.goto(f"{started.origin}/")
        address = page.evaluate("encodeURIComponent", value)
        page.goto(f"{started.origin}/auth/login?returnTo={address}")
        assert page.url.startswith(started.origin)
        expect(page.get_by_text("return_to_invalid")).to_be_visible(timeout=WAIT_MS)
    page.goto(started.origin)
    expect(part(page, "user-name")).to_be_visible(timeout=WAIT_MS)


@pytest.mark.parametrize(
    ("page_path", "returns_to"),
    [
        ("/straße?Ä=É#中", "/stra%C3%9Fe?%C3%84=%C3%89#%E4%B8%AD"),
        ("/中文/😀", "/%E4%B8%AD%E6%96%87/%F0%9F%98%80"),
        ("/100%25", "/100%25"),
        ("/x?" + "y" * 2000, "/"),
        ("/caf%E9", "/"),
    ],
    ids=["umlaut", "emoji", "percent", "long", "not-utf-8"],
)
def test_return_to_of_the_client_module_never_costs_the_sign_in(
    signed_in: Page, started: Installation, page_path: str, returns_to: str
) -> None:
    """Only the place is lost, if it can't be kept."""
    page = signed_in
    page.goto(started.origin + page_path)
    with page.expect_request("**/auth/callback?*") as callback:
        page.evaluate("import('/auth/client.js').then(module => { module.login() })")
    expect(page).to_have_url(started.origin + returns_to, timeout=WAIT_MS)
    response = callback.value.response()
    assert response and response.headers["location"] == returns_to
    expect(part(page, "user-name")).to_be_visible(timeout=WAIT_MS)
