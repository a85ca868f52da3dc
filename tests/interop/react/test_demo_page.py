"""axe-core, which is installed here, finds nothing on the demo's page in each of its states."""

from __future__ import annotations

import os

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.demo_page import demo_page, part, sign_in
from tests.browser.stub import Stub, serve
from tests.browser.whole_flow import take_picture
from tests.interop.react.test_example import AXE

FINDINGS = """async () => {
    const { violations, incomplete } = await axe.run();
    // A name that may not stand there is "incomplete" for axe where the element has a text.
    const unsure = incomplete.filter(({ id }) => id.startsWith("aria-"));
    return [...violations, ...unsure].map(
        ({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" ")}`);
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_everybody_can_use_the_demo(browser: Browser, scheme: str, width: int) -> None:
    context = browser.new_context(
        color_scheme="dark" if scheme == "dark" else "light",
        viewport={"width": width, "height": 800},
        reduced_motion="reduce",
    )
    with serve(Stub(fresh=False)) as stub, demo_page(context, stub) as page:

        def check(state: str) -> None:
            look(page, f"demo-{scheme}-{width}-{state}")

        expect(part(page, "sign-in")).to_be_visible()
        check("signed-out")
        sign_in(page)
        part(page, "api-whoami").click()
        expect(part(page, "api-output")).to_contain_text("claims")
        part(page, "devices-end-others").click()
        expect(part(page, "devices-problem")).to_contain_text("Sign in again")
        check("signed-in")
        context.set_offline(True)
        part(page, "api-items").click()
        expect(part(page, "api-output")).to_contain_text("You are offline.")
        check("offline")
        context.set_offline(False)
        stub.failing_status = 503
        page.reload()
        expect(part(page, "retry")).to_be_visible()
        check("outage")
    context.close()


def look(page: Page, picture: str) -> None:
    if "BFF_TEST_SCREENSHOTS" in os.environ:
        take_picture(page, picture)
    page.evaluate(AXE.read_text())
    assert page.evaluate(FINDINGS) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
