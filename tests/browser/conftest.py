"""Shared by browser tests over https: one certificate, and one browser that trusts it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.installation import TEST_DOMAIN, trusting
from tests.support.certificate import Certificate

# An upper bound, not a wait; the default of 5 s is little on a busy machine.
expect.set_options(timeout=20_000)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """A certificate for localhost and every subdomain of the test domain."""
    return Certificate(tmp_path_factory.mktemp("tls"), ("localhost", f"*.{TEST_DOMAIN}"))


@pytest.fixture(scope="session")
def https_browser(browser: Browser, certificate: Certificate) -> Iterator[Browser]:
    """A browser that trusts the certificate."""
    with trusting(browser, certificate) as launched:
        yield launched
