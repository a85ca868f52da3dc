"""A page of another site begins a sign-in, by a link and by a form, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.installation import Installation, installation
from tests.browser.whole_flow import NAME, WAIT_MS, part
from tests.support.attacker import AttackerSite
from tests.support.cluster import EMAIL, PASSWORD

BY_LINK = """([address, fields]) => {
    location.href = `${address}?${new URLSearchParams(fields)}`;
}"""
BY_FORM = """([address, fields]) => {
    const form = document.createElement("form");
    form.method = "post";
    form.action = address;
    for (const [name, value] of Object.entries(fields)) {
        const input = document.createElement("input");
        [input.name, input.value] = [name, value];
        form.append(input);
    }
    document.body.append(form);
    form.submit();
}"""


@pytest.fixture(scope="module")
def started() -> Iterator[Installation]:
    with installation() as started:
        yield started


@pytest.fixture(scope="module")
def portal() -> Iterator[str]:
    with AttackerSite() as site:
        yield f"http://127.0.0.1:{site.port}/"


@pytest.mark.parametrize("script", [BY_LINK, BY_FORM], ids=["link", "form"])
def test_it_ends_at_the_page_that_the_other_site_named(
    browser: Browser, started: Installation, portal: str, script: str
) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(portal)
        fields = {
            "iss": started.cluster.issuer,
            "target_link_uri": f"{started.origin}/orders?n=1",
            "login_hint": EMAIL,
        }
        page.evaluate(script, [f"{started.origin}/auth/initiate-login", fields])
        page.get_by_label("Email").fill(EMAIL)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Continue").click()
        expect(page).to_have_url(f"{started.origin}/orders?n=1", timeout=WAIT_MS)
        expect(part(page, "user-name")).to_have_text(NAME, timeout=WAIT_MS)


@pytest.mark.parametrize("script", [BY_LINK, BY_FORM], ids=["link", "form"])
def test_another_provider_gets_a_page(
    browser: Browser, started: Installation, portal: str, script: str
) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(portal)
        page.evaluate(
            script, [f"{started.origin}/auth/initiate-login", {"iss": "https://evil.example/"}]
        )
        expect(page.locator("body")).to_contain_text("issuer_mismatch", timeout=WAIT_MS)
