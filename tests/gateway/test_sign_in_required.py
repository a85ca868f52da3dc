"""A refresh that needs the user, through a whole installation: 401 with the way to the sign-in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.ageing import age_access_token, record_name
from tests.support.browser_client import BrowserClient
from tests.support.gateway import Gateway

LAST_SEEN_SECONDS_AGO = 600


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    with Gateway(1) as started:
        yield started


def refuse(gateway: Gateway, error: str, status: int) -> None:
    gateway.control(
        "POST", "faults", endpoint="token", grant_type="refresh_token", do="status",
        status=status, body={"error": error, "error_description": "ask the user"}, times=1000,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("error", "status"), [("mfa_required", 403), ("access_denied", 500), ("expired_token", 400)]
)
def test_the_call_is_refused_with_a_login_url_until_the_user_signs_in_again(
    gateway: Gateway, error: str, status: int
) -> None:
    browser = gateway.browser()
    browser.log_in()
    age_access_token(gateway, browser.cookie, -1)
    leave_alone(gateway, browser)
    before = idle_ends_at(gateway, browser)
    refuse(gateway, error, status)
    for _ in range(2):
        response = browser.fetch("GET", "/api/whoami")
        problem = response.json()
        assert (response.status_code, problem["code"]) == (401, "sign_in_required")
        assert problem["login_url"] == "/auth/login"
    assert idle_ends_at(gateway, browser) == before
    assert browser.profile().status_code == 200
    gateway.control("DELETE", "faults")
    browser.log_in()
    assert browser.fetch("GET", "/api/whoami").status_code == 200


def leave_alone(gateway: Gateway, browser: BrowserClient) -> None:
    """As if the user had not been here for ten minutes."""
    name = record_name(gateway, browser.cookie)
    for field in ("last_seen_at", "idle_ends_at"):
        gateway.store().hincrby(name, field, -LAST_SEEN_SECONDS_AGO)
    gateway.wait_for_caches()


def idle_ends_at(gateway: Gateway, browser: BrowserClient) -> Any:
    return gateway.store().hget(record_name(gateway, browser.cookie), "idle_ends_at")
