"""Sign-ins by a pushed authorization request (RFC 9126), and what happens if the push fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.support.signing_in import World, code_of

REQUIRED = {"par": "required"}


def test_the_browser_carries_a_reference_and_signs_in(world_for: Callable[..., World]) -> None:
    world = world_for(REQUIRED, AUTH0_AUDIENCE="https://api.example.com")
    url = world.login(returnTo="/items", login_hint="somebody@example.com")
    assert set(parse_qs(urlsplit(url).query)) == {"client_id", "request_uri"}
    response = world.get(world.at_provider(url))
    assert (response.status_code, response.headers["Location"]) == (303, "/items")
    ((sign_in, _),) = world.begun
    assert sign_in.identity.subject == "auth0|demo"
    counts = world.control.counts()
    assert (counts["par.201"], counts["token.authorization_code.ok"]) == (1, 1)


def test_a_stronger_sign_in_is_pushed_too(world_for: Callable[..., World]) -> None:
    world = world_for(REQUIRED)
    world.get(world.at_provider(world.login(acr_values="urn:demo:strong", max_age="300")))
    assert world.begun[0][0].identity.acr == "urn:demo:strong"


def test_a_provider_that_requires_it_refuses_a_plain_request(
    world_for: Callable[..., World],
) -> None:
    world = world_for(REQUIRED, BFF_PAR="off")
    response = world.control.browser.get(world.login(), timeout=10)
    assert (response.status_code, "push" in response.text) == (400, True)


def test_a_reference_is_valid_once(world_for: Callable[..., World]) -> None:
    world = world_for(REQUIRED)
    url = world.login()
    world.at_provider(url)
    again = world.control.browser.get(url, allow_redirects=False, timeout=10)
    assert (again.status_code, "used up" in again.text) == (400, True)


FAILURES: dict[str, tuple[dict[str, Any], int, str]] = {
    "down": ({"do": "status", "status": 503}, 503, "provider_unavailable"),
    "hung up": ({"do": "drop_before"}, 503, "provider_unavailable"),
    "rubbish": ({"do": "garbage"}, 503, "provider_unavailable"),
    "refused": (
        {"do": "status", "status": 400, "body": {"error": "invalid_request"}},
        502, "provider_rejected",
    ),
    "not us": (
        {"do": "status", "status": 401, "body": {"error": "invalid_client"}},
        502, "provider_misconfigured",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("order", "status", "code"), FAILURES.values(), ids=FAILURES)
def test_a_failed_push_redirects_nowhere_and_the_next_try_succeeds(
    world_for: Callable[..., World], order: dict[str, Any], status: int, code: str
) -> None:
    world = world_for({"par": "offered"})
    world.control.control("POST", "faults", endpoint="par", **order)
    response = world.get("/auth/login?returnTo=/items")
    assert (response.status_code, code_of(response)) == (status, code)
    assert ("Retry-After" in response.headers) is (status == 503)
    assert "Location" not in response.headers
    assert world.login_cookies() == set()
    assert world.get(world.callback_url(returnTo="/items")).status_code == 303


def test_a_silent_sign_in_returns_with_the_error(world_for: Callable[..., World]) -> None:
    world = world_for({"par": "offered"})
    world.control.control("POST", "faults", endpoint="par", do="status", status=503)
    response = world.get("/auth/login?returnTo=/items&prompt=none")
    assert response.headers["Location"] == "/items?error=provider_unavailable"
