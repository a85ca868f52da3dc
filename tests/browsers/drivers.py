"""How does a test start Chromium, Firefox or WebKitGTK, with its WebDriver and a fresh profile?"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from tests.browsers.webdriver import Session
from tests.support.processes import Process, free_port
from tests.support.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]
GECKODRIVER = ROOT / ".work" / "geckodriver" / "bin" / "geckodriver"
BROWSERS = ("chromium", "firefox", "webkit")
START_SECONDS = 60
SCRIPT_MILLISECONDS = 20_000
CHROMIUM_FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
)  # fmt: skip


@contextmanager
def session(kind: str) -> Iterator[Session]:
    """A browser of *kind*, one of `BROWSERS`."""
    with _display() as display, _driver(kind, display) as driver:
        wanted = {"acceptInsecureCerts": True, **_capabilities(kind)}
        made = requests.post(
            f"{driver}/session",
            json={"capabilities": {"alwaysMatch": wanted}},
            timeout=START_SECONDS,
        ).json()["value"]
        assert "sessionId" in made, made
        opened = Session(f"{driver}/session/{made['sessionId']}", kind)
        limits = {"script": SCRIPT_MILLISECONDS, "pageLoad": SCRIPT_MILLISECONDS}
        opened.command("POST", "/timeouts", **limits)
        try:
            yield opened
        finally:
            opened.command("DELETE", "")


def _capabilities(kind: str) -> dict[str, Any]:
    if kind == "firefox":
        return {"moz:firefoxOptions": {"args": ["-headless"]}}
    if kind == "webkit":
        binary = next(Path("/usr/lib").glob("*/webkit2gtk-4.*/MiniBrowser"))
        return {"webkitgtk:browserOptions": {"binary": str(binary), "args": ["--automation"]}}
    return {"goog:chromeOptions": {"args": list(CHROMIUM_FLAGS)}}


@contextmanager
def _display() -> Iterator[str]:
    """A screen that nobody sees, for WebKitGTK, which has no headless mode."""
    number = free_port()
    command = ["Xvfb", f":{number}", "-screen", "0", "1280x1024x24", "-nolisten", "tcp"]
    with Process(command) as xvfb:
        socket = Path(f"/tmp/.X11-unix/X{number}")  # noqa: S108 - X11's own place.
        wait_for(lambda: socket.exists() and xvfb.running, "Xvfb")
        yield f":{number}"


@contextmanager
def _driver(kind: str, display: str) -> Iterator[str]:
    """The address of a driver."""
    port = free_port()
    commands = {
        "chromium": ["chromedriver", f"--port={port}"],
        "firefox": [str(GECKODRIVER), "--port", str(port)],
        "webkit": ["WebKitWebDriver", f"--port={port}"],
    }
    with tempfile.TemporaryDirectory() as home:
        env = {
            "PATH": "/usr/bin:/bin", "HOME": home, "DISPLAY": display, "XDG_RUNTIME_DIR": home,
            "WEBKIT_DISABLE_COMPOSITING_MODE": "1", "LIBGL_ALWAYS_SOFTWARE": "1",
        }  # fmt: skip
        with Process(commands[kind], name=kind, env=env) as driver:
            driver.wait_for_port(port)
            yield f"http://127.0.0.1:{port}"
