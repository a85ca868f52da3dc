"""Which browser do the tests use, and how is it started?

An installed Chrome or Chromium, or the one that Playwright has downloaded. `CHROMIUM` selects
another. Without one, the tests fail and say what to install; nothing is skipped.

In a reduced run it is Chromium's headless shell, where it is installed: the same engine and network
without the windows of a whole browser, which take two thirds of its CPU time.
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

from tests.support.scale import is_full

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SHELL = "chromium-headless-shell"
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


def installed(*, whole: bool = False) -> Path | None:
    """The browser of `CHROMIUM`, or one that is installed on this machine.

    Args:
        whole: As users have it; also in a reduced run.
    """
    named = os.environ.get("CHROMIUM")
    if named:
        return Path(named)
    for name in NAMES if whole or is_full() else (SHELL, *NAMES):
        found = shutil.which(name)
        if found:
            return Path(found)
    return next((Path(path) for path in MAC_APPLICATIONS if Path(path).exists()), None)


@contextmanager
def chromium(*flags: str, whole: bool = False) -> Iterator[Browser]:
    """A headless browser, closed at the end.

    Args:
        flags: More than `FLAGS`.
        whole: As users have it; also in a reduced run.

    Raises:
        NoBrowser: None was found.
    """
    with sync_playwright() as playwright:
        path = installed(whole=whole) or Path(playwright.chromium.executable_path)
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
        with chromium(whole=True) as launched:
            print(f"Browser: {launched.version} ({installed(whole=True) or 'of Playwright'})")
    except NoBrowser as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
