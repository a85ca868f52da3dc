"""A sign-in that the provider refuses: the reason, another account, and the app's own page."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.installation import Installation, installation
from tests.browser.whole_flow import part
from tests.support.cluster import EMAIL, PASSWORD

PLACE = "/orders/7?view=all#part"
LOGIN = "/auth/login?returnTo=/orders/7%3Fview%3Dall%23part"
REASON = "Ask Dana & Co. <b>for</b> access"
ERROR_PATH = "/sign-in-error"


@pytest.fixture(scope="module")
def running() -> Iterator[Installation]:
    with installation() as running:
        yield running


@pytest.fixture(scope="module")
def with_own_page() -> Iterator[Installation]:
    """The app has a page of its own for failed sign-ins."""
    with installation(env={"BFF_SIGN_IN_ERROR_PATH": ERROR_PATH}) as running:
        yield running


def refused(context: BrowserContext, running: Installation) -> Page:
    """A sign-in up to the provider's form, which refuses it in the way of RFC 6749, 4.1.2.1."""
    page = context.new_page()
    page.goto(running.origin + LOGIN)
    expect(page.get_by_label("Email")).to_be_visible()
    query = parse_qs(urlsplit(page.url).query)
    error = {"error": "access_denied", "error_description": REASON, "state": query["state"][0]}
    error["iss"] = running.cluster.issuer
    page.goto(f"{query['redirect_uri'][0]}?{urlencode(error)}")
    return page


def sign_in_at_provider(page: Page) -> None:
    page.get_by_label("Email").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Continue").click()


def test_the_page_says_why_and_offers_another_account(
    context: BrowserContext, running: Installation
) -> None:
    page = refused(context, running)
    expect(page.get_by_text("sign_in_denied")).to_be_visible()
    expect(page.get_by_text(REASON)).to_be_visible()
    with page.expect_request(f"{running.cluster.issuer}authorize?*") as authorize:
        page.get_by_role("link", name="Sign in with another account").click()
    assert parse_qs(urlsplit(authorize.value.url).query)["prompt"] == ["select_account"]
    sign_in_at_provider(page)
    expect(part(page, "user-name")).to_be_visible()
    expect(page).to_have_url(running.origin + PLACE)


def test_the_app_s_own_page_is_told_and_begins_the_next_sign_in(
    context: BrowserContext, with_own_page: Installation
) -> None:
    page = refused(context, with_own_page)
    expect(part(page, "sign-in")).to_be_visible()
    address = urlsplit(page.url)
    assert address.path == ERROR_PATH
    told = {name: values[0] for name, values in parse_qs(address.query).items()}
    assert told.pop("reference")
    assert told == {
        "error": "sign_in_denied", "provider_error": "access_denied",
        "error_description": REASON, "returnTo": PLACE,
    }  # fmt: skip
    page.evaluate(
        """async () => {
            const { login } = await import("/auth/client.js");
            const returnTo = new URLSearchParams(location.search).get("returnTo");
            login({ returnTo, prompt: "select_account" });
        }"""
    )
    sign_in_at_provider(page)
    expect(part(page, "user-name")).to_be_visible()
    expect(page).to_have_url(with_own_page.origin + PLACE)


@pytest.mark.parametrize(
    ("query", "leads_to"),
    [
        ("error=unauthorized&error_description=expired", "/?error=unauthorized"),
        ("message=Your%20email%20was%20verified.&success=true", "/"),
    ],
    ids=["an invitation that has expired", "an address that was verified"],
)
def test_a_link_of_the_provider_without_a_sign_in_leads_to_the_app(
    context: BrowserContext, running: Installation, query: str, leads_to: str
) -> None:
    page = context.new_page()
    with page.expect_request(running.origin + leads_to):
        page.goto(f"{running.origin}/auth/callback?{query}")
    expect(part(page, "sign-in")).to_be_visible()
