"""A sign-in that starts on another name of the host is sent to that of `APP_BASE_URL` first."""

from __future__ import annotations

import logging
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.support.signing_in import NAVIGATION, ORIGIN, World, code_of


def start(world: World, host: str, query: str = "") -> str:
    """Where a sign-in at *host* leads."""
    response = world.browser.get(
        f"/auth/login{query}", base_url=ORIGIN, headers=NAVIGATION | {"Host": host}
    )
    assert response.status_code == 302, response.text
    return response.headers["Location"]


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:9",
        "www.localhost:9",
        "[::1]:9",
        "localhost.evil.example",
        "127.0.0.1",
        "[",
        "a,b",
    ],
)
def test_a_sign_in_on_another_name_of_the_host_is_redirected(
    world: World, host: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        location = start(world, host, "?returnTo=/stra%25C3%259Fe%3Fa%3D1&ui_locales=de")
    assert location.startswith(f"{ORIGIN}/auth/login?")
    assert parse_qs(urlsplit(location).query) == {
        "returnTo": ["/stra%C3%9Fe?a=1"], "ui_locales": ["de"], "at_base_url": ["1"],
    }  # fmt: skip
    assert world.login_cookies() == set()
    assert "APP_BASE_URL" in caplog.text
    callback = world.get(world.at_provider(world.get(location).headers["Location"]))
    assert (callback.status_code, callback.headers["Location"]) == (303, "/stra%C3%9Fe?a=1")


@pytest.mark.parametrize("host", ["localhost:9", "LOCALHOST:9", "localhost", "localhost:5173"])
def test_a_sign_in_on_our_host_goes_to_the_provider(world: World, host: str) -> None:
    """Whatever the port: a development server has its own, and cookies have none."""
    assert start(world, host).startswith(world.config.issuer)


def test_behind_a_proxy_that_replaces_the_host_it_is_redirected_once(world: World) -> None:
    address = start(world, "bff.internal:8000")
    assert start(world, "bff.internal:8000", f"?{urlsplit(address).query}").startswith(
        world.config.issuer
    )


def test_only_a_page_load_is_redirected(world: World) -> None:
    response = world.browser.get(
        "/auth/login", base_url=ORIGIN,
        headers=NAVIGATION | {"Host": "www.localhost", "Sec-Fetch-Dest": "image"},
    )  # fmt: skip
    assert (response.status_code, code_of(response)) == (400, "request_refused")
