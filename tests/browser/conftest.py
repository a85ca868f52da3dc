"""What browser tests over https share: one certificate, and one browser that trusts it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.installation import TEST_DOMAIN, trusting
from tests.support.certificate import Certificate

# Nothing is waited for longer than it takes; 5 s, the default, is little on a busy machine.
expect.set_options(timeout=20_000)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """For localhost and every subdomain of the test domain."""
    return Certificate(tmp_path_factory.mktemp("tls"), ("localhost", f"*.{TEST_DOMAIN}"))


@pytest.fixture(scope="session")
def https_browser(browser: Browser, certificate: Certificate) -> Iterator[Browser]:
    """A browser that trusts it."""
    with trusting(browser, certificate) as launched:
        yield launched
