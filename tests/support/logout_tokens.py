"""How does a test send a logout token to a BFF, and check that it was refused?"""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlencode

from werkzeug.test import TestResponse

from tests.support.receiver import Receiver

FORM = "application/x-www-form-urlencoded"
EVENT = "http://schemas.openid.net/event/backchannel-logout"
TIMES = ("iat", "exp", "nbf")
LONG_SECONDS = 1e8
"""A smaller time is relative to now."""


def post(bff: Receiver, token: str, **more: str) -> TestResponse:
    return send(bff, urlencode({"logout_token": token} | more))


def send(bff: Receiver, body: str | bytes, content_type: str = FORM) -> TestResponse:
    return bff.client.post("/auth/backchannel-logout", data=body, content_type=content_type)


def assert_refused(bff: Receiver, response: TestResponse) -> str:
    """400 as in section 2.8, and nothing is stored; returns the description."""
    assert response.status_code == 400, response.text
    error = response.get_json()
    assert error["error"] == "invalid_request"
    assert response.headers["Cache-Control"] == "no-store"
    assert bff.names("watermark") == bff.names("seen") == set()
    return str(error["error_description"])


def from_now(changes: dict[str, Any]) -> dict[str, Any]:
    """*changes* with absolute times."""
    now = int(time.time())
    return {
        name: now + value
        if name in TIMES and type(value) in (int, float) and abs(value) < LONG_SECONDS
        else value
        for name, value in changes.items()
    }
