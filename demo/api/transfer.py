"""Which route requires a recent sign-in with a second factor? `/transfer`.

The access token says how its user signed in (`acr` and `auth_time`; RFC 9068, 2.2.1). If that isn't
sufficient, the response says what is required: RFC 9470, section 3.
"""

import json
import time
from collections.abc import Mapping
from typing import Any

from flask import Flask, Response, g

ACR = "urn:demo:strong"
MAX_AGE_SECONDS = 300
SKEW_SECONDS = 10
CHALLENGE = (
    'Bearer error="insufficient_user_authentication", '
    'error_description="A transfer requires a recent second factor", '
    f'acr_values="{ACR}", max_age="{MAX_AGE_SECONDS}"'
)


def register(app: Flask) -> None:
    """Add the route to the application."""

    @app.route("/transfer", methods=["GET", "POST"])
    def transfer() -> dict[str, Any] | Response:
        if not is_sufficient(g.claims, time.time()):
            return _refused()
        return {"transferred": True, "acr": g.claims["acr"], "auth_time": g.claims["auth_time"]}


def is_sufficient(claims: Mapping[str, Any], now: float) -> bool:
    """Whether the user signed in with a second factor recently; an unknown time doesn't count."""
    auth_time = claims.get("auth_time")
    fresh = isinstance(auth_time, int) and now - auth_time <= MAX_AGE_SECONDS + SKEW_SECONDS
    return fresh and claims.get("acr") == ACR


def _refused() -> Response:
    body = {"type": "about:blank", "status": 401, "code": "stronger_sign_in_needed"}
    response = Response(json.dumps(body), 401, content_type="application/problem+json")
    response.headers["WWW-Authenticate"] = CHALLENGE
    return response
