"""Which browser do the tests use, and how is it started?

An installed Chrome or Chromium, or the one that Playwright has downloaded. `CHROMIUM` selects
another. Without one, the tests fail and say what to install; nothing is skipped.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
MAC_APPLICATIONS = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
ADVICE = (
    "No Chrome or Chromium was found. Install one (Debian: apt-get install chromium), "
    "or run: .venv/bin/python -m playwright install chromium"
)


class NoBrowser(Exception):
    """No browser was found; the message says what to install."""


def installed() -> Path | None:
    """The browser of `CHROMIUM`, or one that is installed on this machine."""
    named = os.environ.get("CHROMIUM")
    if named:
        return Path(named)
    for name in NAMES:
        found = shutil.which(name)
        if found:
            return Path(found)
    return next((Path(path) for path in MAC_APPLICATIONS if Path(path).exists()), None)


@contextmanager
def chromium(*flags: str) -> Iterator[Browser]:
    """A headless browser, closed at the end.

    Raises:
        NoBrowser: None was found.
    """
    with sync_playwright() as playwright:
        path = installed() or Path(playwright.chromium.executable_path)
        if not path.exists():
            raise NoBrowser(ADVICE)
        browser = playwright.chromium.launch(
            executable_path=path, headless=True, args=[*FLAGS, *flags]
        )
        try:
            yield browser
        finally:
            browser.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One browser for all tests; each opens a new context: `browser.new_context()`."""
    with chromium() as launched:
        yield launched


def main() -> int:
    """Print which browser is used (`python -m tests.support.chromium`); 1 without one."""
    try:
        with chromium() as launched:
            print(f"Browser: {launched.version} ({installed() or 'of Playwright'})")
    except NoBrowser as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
