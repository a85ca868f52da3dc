"""Whether a logout empties the app's storage in the browser is a setting."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.receiver import Receiver

COOKIE_ID = "A" * 43


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, '"storage"'),
        ({"BFF_CLEAR_SITE_DATA": "true"}, '"storage"'),
        ({"BFF_CLEAR_SITE_DATA": "false"}, None),
    ],
)
def test_the_storage_is_emptied_unless_the_setting_says_no(
    receiver_for: Callable[..., Receiver], settings: dict[str, str], told: str | None
) -> None:
    bff = receiver_for(**settings)
    bff.client.set_cookie("session-8000", COOKIE_ID)
    headers = {"X-CSRF": "1", "Sec-Fetch-Site": "same-origin"}
    response = bff.client.post("/auth/logout", headers=headers)
    assert response.status_code == 200, response.text
    assert response.headers.get("Clear-Site-Data") == told
    assert "Max-Age=0" in response.headers["Set-Cookie"], "the cookie goes in any case"
