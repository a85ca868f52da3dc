"""How does a test call the admin API, and with which credential?"""

from __future__ import annotations

import time
from typing import Any

from werkzeug.test import TestResponse

from tests.support.fake_provider import KEY
from tests.support.receiver import Receiver

ADMIN_KEY = "the-static-key-of-the-administrators"
AUDIENCE = "https://bff.example.com/admin"
SCOPE = "end:sessions"
BY_KEY = {"BFF_ADMIN_KEY": ADMIN_KEY}
BY_TOKEN = {"BFF_ADMIN_AUDIENCE": AUDIENCE, "BFF_ADMIN_SCOPE": SCOPE}


def bearer(token: str) -> dict[str, str]:
    """The header."""
    return {"Authorization": f"Bearer {token}"}


def access_token(bff: Receiver, *, key: Any = KEY, alg: str = "RS256", **changes: Any) -> str:
    """A valid access token for the admin API with *changes*; None removes a claim.

    `typ` is the header's.
    """
    typ = changes.pop("typ", "at+jwt")
    # A token that is older than the start of this Redis would be refused.
    now = max(int(time.time()), bff.services.stores.history_start.begin())
    claims: dict[str, Any] = {
        "aud": AUDIENCE, "sub": "tool@clients", "scope": f"other {SCOPE}", "iat": now,
        "exp": now + 300, "nonce": None, "sid": None, "name": None,
    }  # fmt: skip
    return bff.fake.id_token(key=key, alg=alg, header={"typ": typ}, **(claims | changes))


def ask(
    bff: Receiver, method: str, path: str, *, key: str | None = ADMIN_KEY, **options: Any
) -> TestResponse:
    """Call a route with the static key, or with another one."""
    headers = options.pop("headers", {}) | (bearer(key) if key else {})
    return bff.client.open(path, method=method, headers=headers, **options)


def end(bff: Receiver, key: str | None = ADMIN_KEY, **body: Any) -> TestResponse:
    """End sessions."""
    return ask(bff, "POST", "/admin/sessions/end", key=key, json=body)


def assert_problem(response: TestResponse, status: int, code: str) -> None:
    """A refusal as every route of the machine API must send it."""
    assert (response.status_code, response.get_json()["code"]) == (status, code), response.text
    assert response.content_type == "application/problem+json"
    assert response.headers["Cache-Control"] == "no-store"
    assert "Location" not in response.headers
    assert "Set-Cookie" not in response.headers
