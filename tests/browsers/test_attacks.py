"""Every attack of `tests/browser/attacks.py` in Firefox and WebKitGTK, too: each is refused.

In Chromium `tests/browser/test_promise_8_cross_site.py` tries them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.browser.attacks import ATTACKS, LOADED, PREFLIGHTED, Attack
from tests.browser.installation import Installation
from tests.browsers.drivers import session
from tests.browsers.walk import SESSION, sign_in
from tests.browsers.webdriver import Session
from tests.support.ageing import record_name
from tests.support.wire_record import Exchange

RELATIONS = ["other_site", "sibling"]
NOT_SENT = {("webkit", "prefetch")}
"""What a browser doesn't have."""
# An element that is refused tells its page of nothing in some browsers.
SCRIPT = """
    const [app] = given;
    const loaded = %s;
    const attack = async () => { %s };
    const patience = new Promise((done) => setTimeout(() => done(""), 2000));
    return Promise.race([attack(), patience]);
"""
BODY_SECONDS = 2.0
WAIT_SECONDS = 15.0


@dataclass
class Scene:
    """A browser has a session at `app`, and a hostile page is open in it."""

    browser: Session
    app: Installation
    hostile_origin: str
    cookie: str
    cookie_comes: bool

    def attack(self, attack: Attack) -> list[Exchange]:
        """Run the hostile script, which must read nothing; returns what reached the app."""
        self.browser.go(self.hostile_origin)
        since = time.monotonic()
        assert self.browser.run(SCRIPT % (LOADED, attack.script), self.app.origin) == ""
        path = attack.path.partition("?")[0]
        while (waited := time.monotonic() - since) < WAIT_SECONDS:
            began = [e for e in self.app.front.exchanges(since) if e.path == path and e.response]
            whole = [e for e in began if e.complete]
            # A browser closes the connection of what it refuses before the body has come.
            if whole or (began and waited > BODY_SECONDS):
                return whole or began
            time.sleep(0.02)
        return []

    def assert_unharmed(self) -> None:
        """The session is still there."""
        name = record_name(self.app.cluster, self.cookie)
        assert self.app.cluster.store().exists(name) == 1, "signed out by another site"


@pytest.fixture(scope="module", params=["firefox", "webkit"])
def signed_in(request: pytest.FixtureRequest, app: Installation) -> Iterator[tuple[Session, str]]:
    """A browser with a session, for all attacks."""
    with session(request.param) as browser:
        yield browser, sign_in(browser, app)


@pytest.fixture(scope="module", params=RELATIONS)
def scene(
    request: pytest.FixtureRequest, signed_in: tuple[Session, str], app: Installation
) -> Scene:
    browser, cookie = signed_in
    origin = request.getfixturevalue(request.param)
    return Scene(browser, app, origin, cookie, request.param == "sibling")


def assert_no_permission(exchange: Exchange) -> None:
    assert exchange.response
    names = {name for name, _ in exchange.response.fields}
    assert not [name for name in names if name.startswith("access-control-")]


@pytest.mark.parametrize("name", ATTACKS)
def test_a_hostile_page_is_refused(scene: Scene, name: str) -> None:
    exchanges = scene.attack(ATTACKS[name])
    assert bool(exchanges) == ((scene.browser.kind, name) not in NOT_SENT), exchanges
    for exchange in exchanges:
        assert exchange.site == ("same-site" if scene.cookie_comes else "cross-site")
        assert exchange.status in (403, 501)
        assert exchange.response
        assert exchange.response.get("set-cookie") == ""
        assert (SESSION in exchange.request.get("cookie")) == scene.cookie_comes
        assert_no_permission(exchange)
    scene.assert_unharmed()


@pytest.mark.parametrize("name", PREFLIGHTED)
def test_a_preflight_permits_nothing(scene: Scene, name: str) -> None:
    exchanges = scene.attack(PREFLIGHTED[name])
    assert [e.method for e in exchanges] == ["OPTIONS"], "it was permitted"
    assert_no_permission(exchanges[0])
    scene.assert_unharmed()
