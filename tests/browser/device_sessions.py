"""What does Chromium do with device-bound sessions in a test, and how is it known when?

With keys in software in place of a TPM's, and without the quota, which a test would use up. What
the browser has done it tells over the DevTools protocol. It ignores all of it where the certificate
is not valid, so it gets the hash of the certificate's key.
"""

from __future__ import annotations

import time
from typing import Any, Literal

from playwright.sync_api import BrowserContext, Page

from tests.browser.whole_flow import WAIT_MS
from tests.support.certificate import Certificate
from tests.support.chromium import FLAGS
from tests.support.cluster import EMAIL, PASSWORD

BOUND = "__Host-bound"
POLL_MS = 20
FEATURES = (
    "DeviceBoundSessions:RefreshQuota/false",
    "DeviceBoundSessionsDevTools",
    "EnableBoundSessionCredentialsSoftwareKeysForManualTesting",
)
SCRIPT = """count => Promise.all(Array.from({length: count}, () =>
    fetch('/api/items').then(response => response.status)))"""

Kind = Literal["creation", "refresh", "challenge", "termination"]


def flags(certificate: Certificate) -> list[str]:
    """How the browser is started."""
    hashes = f"--ignore-certificate-errors-spki-list={certificate.spki_hash}"
    return [*FLAGS, f"--enable-features={','.join(FEATURES)}", hashes]


class DeviceSessions:
    """A page, and what the browser tells about its sessions.

    Args:
        context: The browser's.
        url: Where the application is.
    """

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.page: Page = context.new_page()
        self.page.set_default_timeout(WAIT_MS)
        self._context, self._url = context, url
        self._devtools = context.new_cdp_session(self.page)
        self._events: list[dict[str, Any]] = []
        self._devtools.on("Network.deviceBoundSessionEventOccurred", self._note)
        self._devtools.send("Network.enable")
        self._devtools.send("Network.enableDeviceBoundSessions", {"enable": True})

    def _note(self, event: dict[str, Any]) -> None:
        self._events.append(event)

    def events(self, kind: Kind) -> list[dict[str, Any]]:
        """Those of one kind that came so far."""
        return [one for one in list(self._events) if f"{kind}EventDetails" in one]

    def wait_for(self, kind: Kind, count: int = 1) -> dict[str, Any]:
        """The newest event of this kind, as soon as there are so many."""
        give_up_at = time.monotonic() + WAIT_MS / 1000
        while len(self.events(kind)) < count:
            assert time.monotonic() < give_up_at, f"no {kind}; there were {self._events}"
            self.page.wait_for_timeout(POLL_MS)  # Events come only while Playwright waits.
        return self.events(kind)[-1]

    def sign_in(self, query: str = "", *, bindings: int = 1) -> None:
        """By way of the provider's form, until the browser has bound the new session.

        Args:
            query: More parameters of the sign-in.
            bindings: How many there are then, since this page was opened.
        """
        self.page.goto(f"{self._url}/auth/login?returnTo=/{query}")
        self.page.get_by_label("Email").fill(EMAIL)
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.get_by_role("button", name="Continue").click()
        self.page.wait_for_url(f"{self._url}/")
        created = self.wait_for("creation", bindings)
        assert created["succeeded"], created

    def fetch(self, count: int = 1) -> list[int]:
        """The statuses of so many requests of the page, all at once."""
        statuses: list[int] = self.page.evaluate(SCRIPT, count)
        return statuses

    def cookies(self) -> dict[str, str]:
        """Those that the browser has for the application."""
        found = self._context.cookies(self._url)
        return {one.get("name", ""): one.get("value", "") for one in found}

    def end_cookie(self) -> None:
        """Let the short-lived cookie have ended."""
        self._context.clear_cookies(name=BOUND)
