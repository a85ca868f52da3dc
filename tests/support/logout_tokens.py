"""How does a test hand a logout token to a BFF, and see that it was refused?"""

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
"""A time that is smaller than this is counted from now."""


def post(bff: Receiver, token: str, **more: str) -> TestResponse:
    return send(bff, urlencode({"logout_token": token} | more))


def send(bff: Receiver, body: str | bytes, content_type: str = FORM) -> TestResponse:
    return bff.client.post("/auth/backchannel-logout", data=body, content_type=content_type)


def assert_refused(bff: Receiver, answer: TestResponse) -> str:
    """400 as in 2.8, and nothing is left of the attempt; what was said."""
    assert answer.status_code == 400, answer.text
    told = answer.get_json()
    assert told["error"] == "invalid_request"
    assert answer.headers["Cache-Control"] == "no-store"
    assert bff.names("watermark") == bff.names("seen") == set()
    return str(told["error_description"])


def from_now(changes: dict[str, Any]) -> dict[str, Any]:
    """The changes to a token, with its times made absolute."""
    now = int(time.time())
    return {
        name: now + value
        if name in TIMES and type(value) in (int, float) and abs(value) < LONG_SECONDS
        else value
        for name, value in changes.items()
    }
