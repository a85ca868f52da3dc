"""Promise 8: another site can't act through the cookie, sibling subdomains included.

Real pages of another site, of another port of the same host, and of a sibling subdomain, in a
browser with a session. A raw upstream counts the requests that reach the API: none may.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.attacks import ATTACKS, LOADED, PREFLIGHTED, Attack
from tests.browser.installation import TEST_DOMAIN, Installation, installation
from tests.browser.whole_flow import WAIT_MS, part, session_cookie, sign_in, take_picture
from tests.support.ageing import record_name
from tests.support.attacker import AttackerSite
from tests.support.certificate import Certificate
from tests.support.raw_upstream import RawUpstream
from tests.support.tls_front import Front
from tests.support.wire_record import Exchange

APP_HOST = f"app.{TEST_DOMAIN}"
RELATIONS = {
    # Scheme and host of the hostile page, and whether SameSite=Strict sends the cookie.
    "another-site": ("http", "127.0.0.1", False),
    "another-port": ("http", "localhost", True),
    "sibling-subdomain": ("https", f"evil.{TEST_DOMAIN}", True),
    "another-site-https": ("https", "localhost", False),
}
BODY_SECONDS = 2
WAIT_SECONDS = 15.0


@dataclass
class Scene:
    """A browser has a session at `app`, and a hostile page is open in it."""

    started: Installation
    upstream: RawUpstream
    context: BrowserContext
    home: Page
    """A page of the app."""
    hostile_origin: str
    cookie_comes: bool
    since: float = 0.0
    """When the hostile page was opened."""

    @property
    def app(self) -> str:
        return self.started.origin

    def hostile_page(self) -> Page:
        page = self.context.new_page()
        page.goto(f"{self.hostile_origin}/")
        self.since = time.monotonic()
        return page

    def run(self, page: Page, attack: Attack) -> str:
        """Run the hostile script; returns what it could read."""
        result = page.evaluate(
            f"async (app) => {{ const loaded = {LOADED}; {attack.script} }}", self.app
        )
        return str(result)

    def arrived(self, path: str) -> list[Exchange]:
        """The requests for *path* that the hostile page caused; waits for the first response.

        A browser closes the connection of what it refuses (a frame, a WebSocket, a page that is
        left) before the body has come, so the whole response is awaited for a moment only.
        """
        began_at = time.monotonic()
        while (waited := time.monotonic() - began_at) < WAIT_SECONDS:
            began = self.started.front.exchanges(self.since)
            with_response = [e for e in began if e.path == path and e.response]
            whole = [e for e in with_response if e.complete]
            if whole or (with_response and waited > BODY_SECONDS):
                return whole or with_response
            time.sleep(0.02)
        raise AssertionError(f"nothing came to {path}")

    def assert_unharmed(self) -> None:
        """The session is still there, and no request reached the API."""
        script = "fetch('/auth/profile').then((response) => response.status)"
        assert self.home.evaluate(script) == 200, "signed out by another site"
        assert self.upstream.seen == []


@pytest.fixture(scope="module")
def upstream() -> Iterator[RawUpstream]:
    with RawUpstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def plain(upstream: RawUpstream) -> Iterator[Installation]:
    with installation(api_url=upstream.url) as started:
        yield started


@pytest.fixture(scope="module")
def secure(upstream: RawUpstream, certificate: Certificate) -> Iterator[Installation]:
    with installation(certificate, host=APP_HOST, api_url=upstream.url) as started:
        yield started


@pytest.fixture(scope="module", params=RELATIONS)
def scene(
    request: pytest.FixtureRequest, upstream: RawUpstream, certificate: Certificate
) -> Iterator[Scene]:
    scheme, host, cookie_comes = RELATIONS[request.param]
    https = scheme == "https"
    browser: Browser = request.getfixturevalue("https_browser" if https else "browser")
    started: Installation = request.getfixturevalue("secure" if https else "plain")
    with ExitStack() as stack:
        site = stack.enter_context(AttackerSite())
        tls = certificate.server_context() if https else None
        front = stack.enter_context(Front(site.port, tls))
        context = browser.new_context()
        stack.callback(context.close)
        home = context.new_page()
        sign_in(home, started)
        origin = f"{scheme}://{host}:{front.port}"
        yield Scene(started, upstream, context, home, origin, cookie_comes)


@pytest.fixture
def hostile(scene: Scene) -> Iterator[Page]:
    page = scene.hostile_page()
    yield page
    scene.assert_unharmed()
    page.close()


@pytest.mark.parametrize("name", ATTACKS)
def test_promise_8_a_hostile_page_is_refused(scene: Scene, hostile: Page, name: str) -> None:
    attack = ATTACKS[name]
    assert scene.run(hostile, attack) == ""
    for exchange in scene.arrived(attack.path.partition("?")[0]):
        assert exchange.site != "same-origin"
        assert ("session=" in exchange.request.get("cookie")) == scene.cookie_comes
        assert_refused(exchange)


@pytest.mark.parametrize("name", PREFLIGHTED)
def test_promise_8_a_preflight_permits_nothing(scene: Scene, hostile: Page, name: str) -> None:
    attack = PREFLIGHTED[name]
    assert scene.run(hostile, attack) == ""
    exchanges = scene.arrived(attack.path)
    assert [e.method for e in exchanges] == ["OPTIONS"], "it was permitted"
    assert_no_cors(exchanges[0])


def assert_refused(exchange: Exchange) -> None:
    assert exchange.response
    if exchange.complete and exchange.status != 501:
        is_style = exchange.request.get("sec-fetch-dest") == "style"
        expected = b"code_refused" if is_style else b"cross_site"
        assert expected in exchange.response.body, exchange.response
    assert exchange.status in (403, 501)
    assert exchange.response.get("set-cookie") == ""
    assert_no_cors(exchange)


def assert_no_cors(exchange: Exchange) -> None:
    assert exchange.response
    names = {name for name, _ in exchange.response.fields}
    assert not [name for name in names if name.startswith("access-control-")]


@pytest.mark.parametrize("path", ["/auth/logout", "/api/items"])
def test_promise_8_a_form_that_is_posted_to_us_is_refused(
    scene: Scene, hostile: Page, path: str
) -> None:
    with hostile.expect_navigation():
        hostile.evaluate(
            """(action) => {
                const form = document.createElement("form");
                Object.assign(form, {method: "post", action, enctype: "text/plain"});
                document.body.append(form);
                form.submit();
            }""",
            scene.app + path,
        )
    expect(hostile.get_by_text("cross_site")).to_be_visible(timeout=WAIT_MS)
    take_picture(hostile, "cross-site")
    (exchange,) = scene.arrived(path)
    assert ("session=" in exchange.request.get("cookie")) == scene.cookie_comes
    assert_refused(exchange)


@pytest.mark.parametrize("path", ["/api/items", "/auth/profile", "/auth/sessions"])
def test_promise_8_a_link_to_what_the_cookie_protects_is_refused(
    scene: Scene, hostile: Page, path: str
) -> None:
    follow_link(hostile, scene.app + path)
    expect(hostile.get_by_text("cross_site")).to_be_visible(timeout=WAIT_MS)
    (exchange,) = scene.arrived(path)
    assert_refused(exchange)


def test_promise_8_a_link_to_the_logout_asks_first(scene: Scene, hostile: Page) -> None:
    follow_link(hostile, f"{scene.app}/auth/logout")
    expect(hostile.get_by_role("heading", name="Sign out?")).to_be_visible(timeout=WAIT_MS)
    take_picture(hostile, "confirm")
    scene.assert_unharmed()
    hostile.get_by_role("link", name="Stay signed in").click()
    expect(part(hostile, "user-name")).to_be_visible(timeout=WAIT_MS)


def test_promise_8_a_redirect_to_the_logout_asks_first(scene: Scene, hostile: Page) -> None:
    """The hostile page links to the hostile site, which redirects to the app."""
    follow_link(hostile, f"{scene.hostile_origin}/redirect?to={scene.app}/auth/logout")
    expect(hostile.get_by_role("heading", name="Sign out?")).to_be_visible(timeout=WAIT_MS)


def test_promise_8_an_address_typed_elsewhere_that_leads_to_the_logout_asks_first(
    scene: Scene, hostile: Page
) -> None:
    """The browser says `Sec-Fetch-Site: none`: the user typed an address, but not ours."""
    hostile.goto(f"{scene.hostile_origin}/redirect?to={scene.app}/auth/logout")
    expect(hostile.get_by_role("heading", name="Sign out?")).to_be_visible(timeout=WAIT_MS)
    (exchange,) = scene.arrived("/auth/logout")
    assert exchange.site == "none"


def test_promise_8_an_opened_window_is_out_of_reach(scene: Scene, hostile: Page) -> None:
    with hostile.expect_popup() as opened:
        hostile.evaluate("(url) => { window.opened = window.open(url); }", f"{scene.app}/")
    expect(part(opened.value, "user-name")).to_be_visible(timeout=WAIT_MS)
    assert opened.value.evaluate("window.opener") is None
    assert hostile.evaluate("window.opened.closed"), "the hostile page has a handle on ours"
    opened.value.close()


@pytest.mark.parametrize("path", ["/", "/auth/logout", "/auth/login"])
def test_promise_8_the_browser_refuses_to_frame_us(scene: Scene, hostile: Page, path: str) -> None:
    scene.run(hostile, Attack(path, f"""
        return loaded(document.createElement("iframe"), {{src: app + "{path}"}});"""))  # fmt: skip
    (exchange,) = scene.arrived(path)
    assert exchange.response
    assert "frame-ancestors 'none'" in exchange.response.get("content-security-policy")
    (frame,) = hostile.main_frame.child_frames
    frame.wait_for_url("chrome-error://chromewebdata/", wait_until="commit", timeout=WAIT_MS)


def test_promise_8_a_sibling_can_plant_no_cookie(
    https_browser: Browser, secure: Installation, certificate: Certificate
) -> None:
    """The prefixes forbid it; plain http, for development, has none."""
    with (
        AttackerSite() as site,
        Front(site.port, certificate.server_context()) as front,
        https_browser.new_context() as context,
    ):
        page = context.new_page()
        page.goto(f"https://evil.{TEST_DOMAIN}:{front.port}/")
        planted = f"; Secure; Path=/; Domain={TEST_DOMAIN}"
        page.evaluate(f"document.cookie = 'control=planted{planted}'")
        for name in ("__Host-Http-session", "__Host-logout-form", "__Host-login-0123456789abcdef"):
            page.evaluate(f"document.cookie = '{name}=planted{planted}'")
        # The control shows that a sibling's cookie does arrive without a prefix.
        assert [c.get("name") for c in context.cookies(secure.origin)] == ["control"]


def test_promise_8_the_button_of_the_confirmation_signs_out(scene: Scene) -> None:
    """The last test of a scene: it ends the session, though the link brought no Strict cookie."""
    page = scene.hostile_page()
    copied = session_cookie(page)
    follow_link(page, f"{scene.app}/auth/logout")
    (asked,) = scene.arrived("/auth/logout")
    assert ("session=" in asked.request.get("cookie")) == scene.cookie_comes
    assert session_cookie(page) == copied, "it was cleared before anything was ended"
    page.get_by_role("button", name="Sign out").click()
    expect(part(page, "sign-in")).to_be_visible(timeout=WAIT_MS)
    with pytest.raises(StopIteration):
        session_cookie(page)
    script = "fetch('/auth/profile').then((response) => response.status)"
    assert scene.home.evaluate(script) == 401
    keys, store = scene.started.cluster, scene.started.cluster.store()
    assert store.exists(record_name(keys, copied)) == 0, "the old value still opens something"


def follow_link(page: Page, href: str) -> None:
    with page.expect_navigation():
        page.evaluate(
            """(href) => {
                const link = Object.assign(document.createElement("a"), {href});
                document.body.append(link);
                link.click();
            }""",
            href,
        )
