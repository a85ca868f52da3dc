"""Where does a real browser go with a `returnTo` that was accepted? Only to pages of ours.

The judge is Chromium's own URL parser, over the table of hostile values and over every short
combination of what makes addresses ambiguous.
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
    "\uff0f", "javascript:", "[", "~",
)  # fmt: skip
RESOLVE = """([values, origin]) => JSON.parse(values).map((value) => {
    try {
        const url = new URL(value, origin + "/");
        const { protocol, username, password } = url;
        return [url.origin, protocol, username + password, url.pathname];
    } catch { return null; }
})"""
"""`values` is JSON in ASCII, since lone surrogates don't survive the way into the browser."""

Resolved = list[list[str] | None]


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context()
    yield context.new_page()
    context.close()


def resolved(page: Page, values: list[str], origin: str = ORIGIN) -> Resolved:
    """Origin, scheme, userinfo and path that Chromium makes of each value; None if of none."""
    answer: Resolved = page.evaluate(RESOLVE, [json.dumps(values), origin])
    assert len(answer) == len(values)
    return answer


def accepted(value: str) -> bool:
    try:
        return checked_return_to(value, CONFIG) == value
    except ReturnToInvalid:
        return False


def strays(page: Page, values: Iterable[str]) -> list[str]:
    """The values that were accepted, and with which Chromium leaves our pages."""
    ours = [value for value in values if accepted(value)]
    pairs = zip(ours, resolved(page, ours), strict=True)
    return [value for value, found in pairs if not is_page_of_ours(found)]


def is_page_of_ours(found: list[str] | None) -> bool:
    if found is None or found[:3] != [ORIGIN, "https:", ""]:
        return False
    return found[3].split("/")[1].casefold() not in OWN_FOLDERS


def test_return_to_what_is_accepted_stays_here_in_chromium(page: Page) -> None:
    assert strays(page, HOSTILE + GOOD) == []
    assert all(accepted(value) for value in GOOD)


def test_return_to_what_leaves_the_origin_in_chromium_was_refused(page: Page) -> None:
    found = resolved(page, HOSTILE)
    leaving = [v for v, r in zip(HOSTILE, found, strict=True) if r is None or r[0] != ORIGIN]
    assert len(leaving) >= 30, "the table has lost its teeth"
    assert [value for value in leaving if accepted(value)] == []


@pytest.mark.parametrize("pieces", [1, 2, 3])
def test_return_to_every_short_combination_stays_here_in_chromium(page: Page, pieces: int) -> None:
    for first in ("", "/"):
        values = [first + "".join(one) for one in itertools.product(PIECES, repeat=pieces)]
        assert strays(page, values) == []


@pytest.fixture(scope="module")
def started() -> Iterator[Installation]:
    with installation() as started:
        yield started


def test_return_to_a_sign_in_ends_where_it_should(page: Page, started: Installation) -> None:
    """Through the real flow: `Location` is read by the browser, too, not only `new URL`."""
    sign_in(page, started)
    for value in GOOD:
        address = page.evaluate("encodeURIComponent", value)
        page.goto(f"{started.origin}/auth/login?prompt=none&returnTo={address}")
        expected = page.evaluate("(value) => new URL(value, location.origin).href", value)
        assert page.url == expected


def test_return_to_a_hostile_value_gets_a_page_that_says_so(
    page: Page, started: Installation
) -> None:
    for value in ("//evil.example", "/%09/evil.example", "/\\evil.example", "/auth/logout"):
        page.goto(f"{started.origin}/")
        address = page.evaluate("encodeURIComponent", value)
        page.goto(f"{started.origin}/auth/login?returnTo={address}")
        assert page.url.startswith(started.origin)
        expect(page.get_by_text("return_to_invalid")).to_be_visible(timeout=WAIT_MS)
    page.goto(started.origin)
    expect(part(page, "user-name")).to_be_visible(timeout=WAIT_MS)
