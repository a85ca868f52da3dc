"""What did the real browser receive, by the Chrome DevTools Protocol?

Every response of every page of a context: addresses, raw headers (also `Set-Cookie`, which scripts
and Playwright's events don't show), redirects, bodies, and the messages of event streams.
"""

from __future__ import annotations

import json
from typing import Any

from playwright.sync_api import BrowserContext, CDPSession, Error, Page

HEARD = (
    "requestWillBeSent",
    "requestWillBeSentExtraInfo",
    "responseReceived",
    "responseReceivedExtraInfo",
    "eventSourceMessageReceived",
    "loadingFailed",
)


class BrowserRecord:
    """Records all pages that *context* opens from now on.

    Attributes:
        events: The DevTools events in order: (name, parameters).
        bodies: Address and body of every response that the browser still had when asked.
    """

    def __init__(self, context: BrowserContext) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.bodies: list[tuple[str, str]] = []
        self._context = context
        self._urls: dict[str, str] = {}
        context.on("page", self._attach)

    def texts(self) -> list[tuple[str, str]]:
        """Everything that was received, as (source, text)."""
        heard = [(name, json.dumps(event, ensure_ascii=False)) for name, event in self.events]
        return heard + [(f"body of {url}", body) for url, body in self.bodies]

    def set_cookies(self) -> dict[str, list[str]]:
        """The values of each cookie, by name, without deletions."""
        found: dict[str, list[str]] = {}
        for _, event in self._named("responseReceivedExtraInfo"):
            fields = {name.lower(): value for name, value in event["headers"].items()}
            for line in fields.get("set-cookie", "").split("\n"):
                name, _, rest = line.partition("=")
                value = rest.partition(";")[0]
                if value:
                    found.setdefault(name, []).append(value)
        return found

    def addresses(self) -> list[str]:
        """Every address that was requested, including redirects."""
        return [event["request"]["url"] for _, event in self._named("requestWillBeSent")]

    def _named(self, name: str) -> list[tuple[str, dict[str, Any]]]:
        return [event for event in list(self.events) if event[0] == name]

    def _attach(self, page: Page) -> None:
        session = self._context.new_cdp_session(page)
        for name in HEARD:
            session.on(f"Network.{name}", lambda event, name=name: self._hear(name, event))
        session.on("Network.loadingFinished", lambda event: self._take_body(session, event))
        session.send("Network.enable", {"maxTotalBufferSize": 50_000_000})

    def _hear(self, name: str, event: dict[str, Any]) -> None:
        self.events.append((name, event))
        if name == "responseReceived":
            self._urls[event["requestId"]] = event["response"]["url"]

    def _take_body(self, session: CDPSession, event: dict[str, Any]) -> None:
        url = self._urls.get(event["requestId"], "?")
        try:
            response = session.send("Network.getResponseBody", {"requestId": event["requestId"]})
        except Error:
            # The page was left meanwhile and Chromium has dropped the body; the wire record has it.
            return
        self.bodies.append((url, response["body"]))
