"""How does a test drive three browsers alike? By the W3C's WebDriver protocol.

Its own file, rather than a library: a dozen commands are needed, all of them plain HTTP.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import requests

from tests.support.waiting import wait_for

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
TIMEOUT_SECONDS = 60
LEAVE_MILLISECONDS = 300
PAGE_CHANGED = frozenset({"stale element reference", "no such element"})
"""The page was replaced between two commands: the next look finds the new one."""


class WebDriverError(Exception):
    """The driver refused a command; `code` is the specification's."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


@dataclass(frozen=True)
class Session:
    """A browser with a fresh profile; commands are named as in the specification."""

    address: str
    kind: str
    """`chromium`, `firefox` or `webkit`."""

    def command(self, method: str, path: str, **body: Any) -> Any:
        """Send a command; returns its value."""
        response = requests.request(
            method,
            f"{self.address}{path}",
            json=body if method == "POST" else None,
            timeout=TIMEOUT_SECONDS,
        )
        value = response.json()["value"]
        if not response.ok:
            raise WebDriverError(value["error"], value["message"])
        return value

    def go(self, url: str) -> None:
        """Open an address, as if it was typed."""
        self.command("POST", "/url", url=url)

    def run(self, script: str, *given: Any) -> Any:
        """Run the body of an async function, which gets `given`; returns what it resolves to."""
        wrapped = """const done = arguments[arguments.length - 1];
            (async (...given) => { %s })(...[...arguments].slice(0, -1)).then(
                (value) => done([true, value]), (error) => done([false, String(error)]));"""
        ok, value = self.command("POST", "/execute/async", script=wrapped % script, args=given)
        assert ok, value
        return value

    def leave(self, script: str, *given: Any) -> None:
        """Run a script that leaves the page, once the driver is done with this command.

        Drivers wait for a page that is being loaded; and while a command runs, Firefox's has a
        listener in the page that keeps it out of the back/forward cache.
        """
        self.run("setTimeout(() => { " + script + f" }}, {LEAVE_MILLISECONDS});", *given)

    def shown(self, css: str) -> list[str]:
        """The visible elements, in the order of the page."""
        try:
            found = self.command("POST", "/elements", using="css selector", value=css)
            ids = [one[ELEMENT] for one in found]
            return [one for one in ids if self.command("GET", f"/element/{one}/displayed")]
        except WebDriverError as error:
            if error.code not in PAGE_CHANGED:
                raise
            return []

    def wait(self, css: str) -> str:
        """The first visible element, once there is one."""
        found: list[str] = []

        def look() -> bool:
            found[:] = self.shown(css)
            return bool(found)

        wait_for(look, f"{css} in {self.kind}")
        return found[0]

    def click(self, css: str) -> None:
        """Click an element, once it is there, as a user does."""
        self._once_there("click", css)

    def type(self, css: str, text: str) -> None:
        """Type into a field, once it is there."""
        self._once_there("value", css, text=text)

    def _once_there(self, action: str, css: str, **body: str) -> None:
        def done() -> bool:
            try:
                self.command("POST", f"/element/{self.wait(css)}/{action}", **body)
            except WebDriverError as error:
                if error.code not in PAGE_CHANGED:
                    raise
                return False
            return True

        wait_for(done, f"{action} of {css} in {self.kind}")

    def text(self) -> str:
        """The visible text of the page, in one line."""
        script = "return document.body?.innerText ?? ''"
        shown = self.command("POST", "/execute/sync", script=script, args=[])
        return " ".join(str(shown).split())

    def wait_for_text(self, expected: str) -> None:
        """Wait until the page says *expected*."""
        wait_for(lambda: expected in self.text(), f"{expected!r} in {self.kind}")

    def url(self) -> str:
        """The address of the page."""
        return str(self.command("GET", "/url"))

    def back(self) -> None:
        """Back in the history."""
        self.command("POST", "/back")

    def reload(self) -> None:
        """Load the page again."""
        self.command("POST", "/refresh")

    def new_tab(self) -> str:
        """Open a tab and go there; returns its handle."""
        handle = str(self.command("POST", "/window/new", type="tab")["handle"])
        self.switch_to(handle)
        return handle

    def tab(self) -> str:
        """The handle of the current tab."""
        return str(self.command("GET", "/window"))

    def switch_to(self, handle: str) -> None:
        """Make a tab the current one."""
        self.command("POST", "/window", handle=handle)
