"""`BFF_SIGN_IN_ERROR_PATH`: a page of the app tells of failed sign-ins, in place of ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from werkzeug.test import TestResponse

from bff.core.errors import StoreUnavailable
from tests.support.signing_in import World, changed

PAGE = "/orders/7?view=all#part"
REASON = "Ask Dana & Co. for the r\u00f4le \u201ceditor\u201d"


@pytest.fixture
def world(world_for: Callable[..., World]) -> World:
    return world_for(BFF_SIGN_IN_ERROR_PATH="/sign-in/error?a=1#top")


def told(response: TestResponse) -> dict[str, str]:
    """What the app's page is told."""
    assert response.status_code == 303
    parts = urlsplit(response.headers["Location"])
    assert (parts.scheme, parts.netloc, parts.path, parts.fragment) == (
        "", "", "/sign-in/error", "top"
    )  # fmt: skip
    found = dict(parse_qsl(parts.query, strict_parsing=True))
    assert found.pop("a") == "1"
    assert found.pop("reference")
    return found


def test_a_refusal_of_the_provider_comes_with_its_reason(world: World) -> None:
    denied: dict[str, str | None] = {
        "code": None, "error": "access_denied", "error_description": f"{REASON}\r\n"
    }  # fmt: skip
    response = world.get(changed(world.callback_url(returnTo=PAGE), **denied))
    assert told(response) == {
        "error": "sign_in_denied",
        "provider_error": "access_denied",
        "error_description": REASON,
        "returnTo": PAGE,
    }


def test_a_provider_that_is_away_is_told(world: World) -> None:
    url = world.callback_url(returnTo=PAGE)
    world.control.control("POST", "faults", endpoint="token", do="status", status=503, times=1)
    assert told(world.get(url)) == {"error": "provider_unavailable", "returnTo": PAGE}
    # The code is unused, so the same address still works.
    assert world.get(url).headers["Location"] == PAGE


def test_what_the_sign_in_asked_for_is_told_without_the_person(world: World) -> None:
    asked = {"connection": "google&x=y", "prompt": "consent", "max_age": "60"}
    url = world.callback_url(returnTo=PAGE, login_hint="dana@example.com", **asked)
    denied = changed(url, code=None, error="access_denied")
    assert dict(parse_qsl(told(world.get(denied))["parameters"])) == asked
    url = world.callback_url(returnTo=PAGE, login_hint="dana@example.com", **asked)
    world.browser = world.new_browser()
    assert dict(parse_qsl(told(world.get(url))["parameters"])) == asked


def test_without_a_sign_in_of_this_browser_nothing_of_the_request_is_told(world: World) -> None:
    url = world.callback_url(returnTo=PAGE)
    world.browser = world.new_browser()
    assert told(world.get(url)) == {"error": "state_invalid", "returnTo": PAGE}
    forged = "/auth/callback?state=x&error=evil&error_description=evil&returnTo=/evil"
    assert told(world.get(forged)) == {"error": "state_invalid"}


def test_a_silent_sign_in_still_comes_back_to_where_it_was_begun(world: World) -> None:
    url = world.callback_url(prompt="none", returnTo="/orders")
    answer: dict[str, str | None] = {"code": None, "error": "login_required"}
    location = world.get(changed(url, **answer)).headers["Location"]
    assert location == "/orders?error=login_required"


def test_what_only_our_page_can_cure_stays_there(world: World) -> None:
    """Cookies that the server hides: our page has the button that removes the culprit."""
    world.browser = world.app.test_client(use_cookies=False)
    response = world.get("/auth/callback?state=x&code=y", Cookie="")
    assert response.status_code == 401
    assert "Location" not in response.headers


@pytest.mark.parametrize("setting", [{}, {"BFF_SIGN_IN_ERROR_PATH": "/e"}], ids=["off", "on"])
def test_redis_away_at_a_late_callback_loses_neither_page_nor_record(
    world_for: Callable[..., World], monkeypatch: pytest.MonkeyPatch, setting: dict[str, Any],
    audit_lines: Callable[[], list[dict[str, Any]]],
) -> None:  # fmt: skip
    world = world_for(**setting)
    url = world.callback_url(returnTo=PAGE)
    world.browser = world.new_browser()

    def away(*_: Any) -> bool:
        raise StoreUnavailable("away")

    monkeypatch.setattr(World, "is_signed_in", away)
    response = world.get(url)
    assert response.status_code == (303 if setting else 400)
    assert [line["event"] for line in audit_lines()][-1] == "sign_in_failed"
