"""How does a test run an application with routes of its own, and its user's browser?

The whole application in this process, on the shared Redis; no sign-in precedes the session.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

import bff
from bff.access.session_cookie import cookie_name
from tests.support.fixtures import MakeReceiver
from tests.support.receiver import Receiver

SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}
CROSS_SITE = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}


class Embedding:
    """An application of `create_app`, to which the test adds routes."""

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver
        self.app: Flask = receiver.app
        self.browser = self.new_browser()

    def new_browser(self) -> FlaskClient:
        return self.app.test_client()

    def sign_in(self, **identity: Any) -> None:
        """Give the browser a session."""
        cookie_id = self.receiver.services.sessions.start(self.receiver.sign_in(**identity))
        self.browser.set_cookie(cookie_name(self.receiver.config), cookie_id)

    def call(self, path: str, method: str = "POST", **more: Any) -> TestResponse:
        """A request of the application's own page, unless it has other headers."""
        return self.browser.open(path, method=method, **({"headers": SAME_ORIGIN} | more))


@pytest.fixture(params=["250", "0"], ids=["cache on", "cache off"])
def embedding(receiver_for: MakeReceiver, request: pytest.FixtureRequest) -> Iterator[Embedding]:
    """One with, one without the session cache."""
    yield Embedding(receiver_for(BFF_SESSION_LEASE_MILLISECONDS=request.param))


def marked(mark: str) -> Any:
    """The decorator of the package with this name; `""` for none."""
    return getattr(bff, mark) if mark else lambda view: view
