"""Sign-ins that are refused, at `/auth/login` and at `/auth/callback`."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.support.provider_client import (
    CLIENT_ID,
)
from tests.support.signing_in import ORIGIN, World, changed, code_of, refused


@pytest.mark.parametrize(
    "query",
    [
        "prompt=login&prompt=none", "login_hint=a&login_hint=b", "returnTo=/a&returnTo=/b",
        "login_hint=a%0d%0ab", "ui_locales=%00", "connection=" + "x" * 513, "acr_values=%E2%80%A8",
        "prompt=none+login", "prompt=login+none", "prompt=+none", "prompt=None",
        "prompt=NONE+login", "max_age=soon", "max_age=-1", "max_age=1.5", "max_age=9999999999",
        "max_age=%D9%A3", "invitation=%7F",
    ],
)  # fmt: skip
def test_a_bad_parameter_is_refused(world: World, query: str) -> None:
    response = world.get(f"/auth/login?{query}")
    assert (response.status_code, code_of(response)) == (400, "parameter_invalid")
    assert world.login_cookies() == set()


@pytest.mark.parametrize(
    "value", ["//evil.example", "https://evil.example", "/auth/logout", "/%5Ce"]
)
def test_a_hostile_return_address_is_refused(world: World, value: str) -> None:
    response = world.get(f"/auth/login?{urlencode({'returnTo': value, 'prompt': 'none'})}")
    assert (response.status_code, code_of(response)) == (400, "return_to_invalid")
    assert "Location" not in response.headers


LONG = "/" + "x" * 1999


@pytest.mark.parametrize(
    ("headers", "started"),
    [
        ({"Sec-Fetch-Site": "same-origin", "Referer": f"{ORIGIN}/x"}, True),
        ({"Sec-Fetch-Site": "same-origin"}, False),
        ({"Referer": f"{ORIGIN}/caf%E9"}, True),
        ({"Sec-Fetch-Site": "same-site", "Referer": f"{ORIGIN}/x"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "none"}, False),
        ({"Referer": f"{ORIGIN}.evil.example/"}, False),
        ({}, False),
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "query",
    [
        {"returnTo": "//evil.example"}, {"returnTo": "/caf%E9"}, {"returnTo": "/" + "x" * 2000},
        {"returnTo": LONG, "acr_values": "x" * 512, "organization": "x" * 512},
    ],
    ids=["hostile", "not-utf-8", "long", "long-for-a-cookie"],
)  # fmt: skip
def test_a_bad_return_address_of_our_own_page_costs_the_place_only(
    world: World, query: dict[str, str], headers: dict[str, str], started: bool
) -> None:
    response = world.get(f"/auth/login?{urlencode(query)}", **headers)
    if not started:
        assert (response.status_code, code_of(response)) == (400, "return_to_invalid")
        return
    callback = world.get(changed(world.at_provider(response.headers["Location"])))
    if "organization" not in query:
        assert (callback.status_code, callback.headers["Location"]) == (303, "/")


@pytest.mark.parametrize(
    "more",
    [
        {"Sec-Fetch-Dest": "iframe"}, {"Sec-Fetch-Dest": "image"},
        {"Sec-Fetch-Dest": "empty", "Sec-Fetch-Mode": "cors"}, {"Sec-Fetch-Dest": "script"},
        {"Sec-Fetch-Dest": "empty", "Sec-Purpose": "prefetch"},
        {"Sec-Fetch-Mode": "cors"}, {"Sec-Fetch-Mode": "no-cors"}, {"Sec-Purpose": "prefetch"},
        {"Purpose": "prefetch"}, {"X-Moz": "prefetch"},
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/auth/login", "/auth/callback"])
def test_only_a_page_load_signs_in(world: World, path: str, more: dict[str, str]) -> None:
    response = world.get(path, **more)
    assert (response.status_code, code_of(response)) == (400, "request_refused")


@pytest.mark.parametrize("path", ["/auth/login", "/auth/callback"])
@pytest.mark.parametrize("accept", ["text/html", "*/*"])
def test_a_service_worker_that_hides_the_page_load_is_named_on_a_page(
    world: World, path: str, accept: str
) -> None:
    """Firefox: `fetch(event.request)` of a navigation says `same-origin`, as a script's fetch."""
    worker = {"Sec-Fetch-Dest": "empty", "Sec-Fetch-Mode": "same-origin", "Accept": accept}
    response = world.get(path, **worker)
    assert (response.status_code, response.mimetype) == (400, "text/html")
    assert "service_worker_interferes" in response.text
    assert "Hold Shift" in response.text


def test_a_page_load_that_a_service_worker_passed_on_signs_in(world: World) -> None:
    """Chromium says `navigate`, which no script can, and `empty` (seen in tests/browser)."""
    worker = {"Sec-Fetch-Dest": "empty", "Accept": "*/*"}
    started = world.get("/auth/login?returnTo=/x", **worker)
    response = world.get(changed(world.at_provider(started.headers["Location"])), **worker)
    assert (response.status_code, response.headers["Location"]) == (303, "/x")
    again = world.get("/auth/callback?state=x", **worker)
    assert (again.status_code, again.mimetype) == (400, "text/html")


@pytest.mark.parametrize("path", ["/auth/login", "/auth/callback"])
@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE"])
def test_only_get_signs_in(world: World, path: str, method: str) -> None:
    """A link checker's HEAD must not use up a code."""
    assert world.browser.open(path, method=method, base_url=ORIGIN).status_code == 405


def test_a_link_on_another_site_may_start_a_sign_in(world: World) -> None:
    """Nothing changes before the callback, which needs this browser's own state."""
    assert world.get("/auth/login", **{"Sec-Fetch-Site": "cross-site"}).status_code == 302


def test_an_outage_of_the_provider_is_reported(world: World) -> None:
    world.control.control("POST", "faults", endpoint="discovery", do="status", status=503, times=9)
    response = world.get("/auth/login")
    assert (response.status_code, code_of(response)) == (503, "provider_unavailable")
    assert response.headers["Retry-After"]
    assert world.login_cookies() == set()


def test_a_callback_without_state_or_with_several_is_refused(world: World) -> None:
    url = world.callback_url()
    refused(world, changed(url, state=None), "state_invalid", 400)
    refused(world, changed(url) + "&state=x", "state_invalid", 400)
    refused(world, changed(url, state=""), "state_invalid", 400)
    assert len(world.login_cookies()) == 1


def test_a_callback_of_another_browser_is_refused(world: World) -> None:
    """Login CSRF: an attacker's code and state, planted in another browser."""
    url = world.callback_url()
    world.browser = world.new_browser()
    world.login()
    refused(world, url, "state_invalid", 400)


def test_state_comes_before_error(
    world: World, audit_lines: Callable[[], list[dict[str, Any]]]
) -> None:
    """Authlib would accept an error with any state."""
    world.login()
    refused(world, "/auth/callback?error=access_denied&state=made-up", "state_invalid", 400)
    refused(world, "/auth/callback?error=access_denied&state=", "state_invalid", 400)
    assert "access_denied" not in json.dumps(audit_lines())


def test_a_replayed_callback_is_refused(world: World) -> None:
    url = world.callback_url()
    assert world.get(url).status_code == 303
    world.begun.clear()
    refused(world, url, "state_invalid", 400)
    assert world.control.counts()["token"] == 1


@pytest.mark.parametrize(
    ("changes", "code", "status"),
    [
        ({"iss": "https://evil.example/"}, "issuer_mismatch", 400),
        ({"iss": None}, "issuer_mismatch", 400),
        ({"code": None}, "parameter_invalid", 400),
        ({"code": ""}, "parameter_invalid", 400),
        ({"code": "x" * 5000}, "parameter_invalid", 400),
        ({"code": "made-up"}, "provider_rejected", 502),
        ({"code": None, "error": "access_denied"}, "sign_in_denied", 403),
        ({"error": "access_denied"}, "sign_in_denied", 403),
        ({"error": "<script>\n" * 99}, "sign_in_denied", 403),
        ({"error": "access_denied", "iss": "https://evil.example/"}, "issuer_mismatch", 400),
    ],
)
def test_a_bad_callback_is_refused_and_its_cookie_deleted(
    world_for: Callable[..., World], changes: dict[str, str | None], code: str, status: int
) -> None:
    world = world_for({"iss_parameter": True})
    url = world.callback_url()
    response = refused(world, changed(url, **changes), code, status)
    assert world.login_cookies() == set()
    assert "<script>" not in response.text
    refused(world, url, "state_invalid", 400)


@pytest.mark.parametrize("name", ["code", "iss", "error"])
def test_a_repeated_parameter_is_refused(world: World, name: str) -> None:
    url = world.callback_url()
    refused(world, f"{url}&{name}=x&{name}=y", "parameter_invalid", 400)
    assert world.login_cookies() == set()


@pytest.mark.parametrize(
    "forgery",
    [
        {"omit": True}, {"alg": "none"}, {"alg": "HS256-with-public-key"},
        {"alg": "RS256-with-other-key"}, {"override": {"aud": "other", "azp": CLIENT_ID}},
        {"override": {"nonce": "other"}}, {"override": {"exp": 1}}, {"override": {"iss": "x"}},
    ],
    ids=str,
)  # fmt: skip
def test_a_forged_id_token_is_refused_and_its_tokens_are_revoked(
    world: World, forgery: dict[str, Any]
) -> None:
    url = world.callback_url()
    world.control.control("POST", "id_token", **forgery)
    refused(world, url, "id_token_invalid", 502)
    issued = [t for t in world.control.control("GET", "tokens") if t["kind"] == "refresh_token"]
    assert [token["state"] for token in issued] == ["revoked"]


def test_an_unexpected_failure_deletes_the_cookie_too(world: World) -> None:
    url = world.callback_url()
    world.fail_with = RuntimeError("a bug")
    response = world.get(url)
    assert response.status_code == 500
    assert "a bug" not in response.text
    assert world.login_cookies() == set()
