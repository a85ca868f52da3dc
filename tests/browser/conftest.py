"""Shared by browser tests: a fresh context, and over https a browser that trusts a certificate."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, expect

from tests.browser.installation import TEST_DOMAIN, trusting
from tests.browser.whole_flow import WAIT_MS
from tests.support.certificate import Certificate

# An upper bound, not a wait; the default of 5 s is little on a busy machine.
expect.set_options(timeout=20_000)


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser without cookies."""
    context = browser.new_context()
    context.set_default_timeout(WAIT_MS)
    yield context
    context.close()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """A certificate for localhost and every subdomain of the test domain."""
    return Certificate(tmp_path_factory.mktemp("tls"), ("localhost", f"*.{TEST_DOMAIN}"))


@pytest.fixture(scope="session")
def https_browser(browser: Browser, certificate: Certificate) -> Iterator[Browser]:
    """A browser that trusts the certificate."""
    with trusting(browser, certificate) as launched:
        yield launched
