"""How does a test run an application with routes of its own, and its user's browser?

The whole application in this process, on the shared Redis; no sign-in precedes the session.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

import bff
from bff.access.session_cookie import cookie_name
from bff.app.factory import create_app
from bff.core.model import Tokens
from tests.support.application import stop
from tests.support.fake_provider import FakeProvider
from tests.support.fixtures import MakeReceiver
from tests.support.receiver import Receiver

SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}
NAVIGATES = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Accept": "text/html"}
CROSS_SITE = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}


class Embedding:
    """An application of `create_app`, to which the test adds routes."""

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver
        self.app: Flask = receiver.app
        self.browser = self.new_browser()

    def new_browser(self) -> FlaskClient:
        return self.app.test_client()

    def sign_in(self, *, tokens: Tokens | None = None, **identity: Any) -> None:
        """Give the browser a session."""
        sign_in = self.receiver.sign_in(**identity)
        if tokens is not None:
            sign_in = msgspec.structs.replace(sign_in, tokens=tokens)
        cookie_id = self.receiver.services.sessions.start(sign_in)
        self.browser.set_cookie(cookie_name(self.receiver.config), cookie_id)

    def call(self, path: str, method: str = "POST", **more: Any) -> TestResponse:
        """A request of the application's own page, unless it has other headers."""
        return self.browser.open(path, method=method, **({"headers": SAME_ORIGIN} | more))


@pytest.fixture(params=["250", "0"], ids=["cache on", "cache off"])
def embedding(receiver_for: MakeReceiver, request: pytest.FixtureRequest) -> Iterator[Embedding]:
    """One with, one without the session cache."""
    yield Embedding(receiver_for(BFF_SESSION_LEASE_MILLISECONDS=request.param))


MakeApplication = Callable[..., Flask]


@pytest.fixture
def application_for(bff_receiver: Receiver) -> Iterator[MakeApplication]:
    """Makes applications with the options of `bff.create_app`, at the fake provider."""
    made: list[Flask] = []

    def make(**options: Any) -> Flask:
        made.append(create_app(bff_receiver.config, **options))
        return made[-1]

    yield make
    for app in made:
        stop(app)


@pytest.fixture
def bff_receiver(receiver_for: MakeReceiver) -> Receiver:
    """Another process on the same Redis; `bff` is the package here."""
    return receiver_for()


def sign_in_at(fake: FakeProvider, browser: FlaskClient, **claims: Any) -> TestResponse:
    """A whole sign-in; the fake provider's ID token has these *claims*, too."""
    begun = browser.get("/auth/login", headers=SAME_ORIGIN | NAVIGATES)
    asked = parse_qs(urlsplit(begun.headers["Location"]).query)
    id_token = fake.id_token(nonce=asked["nonce"][0], **claims)
    fake.token(fake.grant(id_token=id_token))
    callback = f"/auth/callback?code=c&state={asked['state'][0]}"
    return browser.get(callback, headers={"Sec-Fetch-Site": "cross-site"} | NAVIGATES)


def marked(mark: str) -> Any:
    """The decorator of the package with this name; `""` for none."""
    return getattr(bff, mark) if mark else lambda view: view
