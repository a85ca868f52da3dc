"""Shared by the tests in three browsers: installations, other sites, a fresh browser."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.browser.installation import DEMO_SPA, Installation, installation
from tests.browsers.drivers import BROWSERS, session
from tests.browsers.webdriver import Session
from tests.support.attacker import AttackerSite
from tests.support.certificate import Certificate
from tests.support.tls_front import Front

# Every browser resolves `*.localhost` to this machine by itself.
APP_HOST = "app.bff.localhost"
SIBLING_HOST = "evil.bff.localhost"
OTHER_HOST = "www.elsewhere.localhost"
_TAKES_OVER = """
addEventListener("install", () => skipWaiting());
addEventListener("activate", (event) => event.waitUntil(clients.claim()));
addEventListener("fetch", (event) => event.respondWith(%s));
"""
WORKERS = {
    "sw.js": _TAKES_OVER % "fetch(event.request)",
    # It hides who made a request: what it sends is a fetch of its own.
    "sw-anew.js": _TAKES_OVER % "fetch(event.request.url, { method: event.request.method })",
}
STRICT = {
    "BFF_REQUIRE_CSRF_HEADER": "true",
    "BFF_REQUIRE_CSRF_ON_WRITES": "true",
    "BFF_REFUSE_TYPED_ADDRESSES": "true",
}


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """A certificate for the app, its sibling and another site."""
    return Certificate(tmp_path_factory.mktemp("tls"), (APP_HOST, SIBLING_HOST, OTHER_HOST))


@pytest.fixture(scope="session")
def spa(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's app, and service workers that a test may register."""
    folder = tmp_path_factory.mktemp("with-workers") / "spa"
    shutil.copytree(DEMO_SPA, folder)
    for name, script in WORKERS.items():
        (folder / name).write_text(script)
    return folder


@pytest.fixture(scope="session")
def app(certificate: Certificate, spa: Path) -> Iterator[Installation]:
    """An installation with the default settings."""
    with installation(certificate, host=APP_HOST, env={"BFF_SPA_DIR": str(spa)}) as started:
        yield started


@pytest.fixture(scope="session")
def strict_app(certificate: Certificate, spa: Path) -> Iterator[Installation]:
    """One with the settings that close what browsers leave open (SECURITY.md)."""
    env = STRICT | {"BFF_SPA_DIR": str(spa)}
    with installation(certificate, host=APP_HOST, env=env) as started:
        yield started


@pytest.fixture(scope="session")
def hostile_port(certificate: Certificate) -> Iterator[int]:
    """The port of a hostile server, which has every name."""
    with ExitStack() as stack:
        site = stack.enter_context(AttackerSite())
        yield stack.enter_context(Front(site.port, certificate.server_context())).port


@pytest.fixture(scope="session")
def sibling(hostile_port: int) -> str:
    """The origin of a hostile sibling subdomain, to which a Strict cookie goes."""
    return f"https://{SIBLING_HOST}:{hostile_port}"


@pytest.fixture(scope="session")
def other_site(hostile_port: int) -> str:
    """The origin of another site."""
    return f"https://{OTHER_HOST}:{hostile_port}"


@pytest.fixture(params=BROWSERS)
def browser(request: pytest.FixtureRequest) -> Iterator[Session]:
    """A browser with a fresh profile."""
    with session(request.param) as opened:
        yield opened
