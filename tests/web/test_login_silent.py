"""A silent sign-in succeeds, or redirects to the SPA with an error."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from werkzeug.test import TestResponse

from bff.core.errors import StoreUnavailable
from bff.web.provider_link import with_error
from tests.support.signing_in import World, changed


def error_in(response: TestResponse) -> str:
    """The error with which a silent sign-in redirects to `/page?x=1#y`."""
    assert response.status_code == 303, response.text
    path, _, query = response.headers["Location"].partition("?")
    assert path == "/page"
    assert query.startswith("x=1&error=")
    assert query.endswith("#y")
    return query.removeprefix("x=1&error=").removesuffix("#y")


SILENT = {"prompt": "none", "returnTo": "/page?x=1#y"}


def silent_callback(world: World) -> str:
    response = world.control.get(world.login(**SILENT))
    assert response.status_code in (302, 303)
    return str(response.headers["Location"])


def test_a_silent_sign_in_without_a_session_at_the_provider_returns_the_error(
    world: World, audit_lines: Callable[[], list[dict[str, Any]]]
) -> None:
    response = world.get(silent_callback(world))
    assert error_in(response) == "login_required"
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert world.login_cookies() == set()
    assert audit_lines()[-1]["reason"] == "sign_in_denied: login_required"


def test_a_silent_sign_in_with_a_session_at_the_provider_succeeds(world: World) -> None:
    world.get(world.callback_url())
    response = world.get(silent_callback(world))
    assert response.headers["Location"] == "/page?x=1#y"
    assert len(world.begun) == 2


def test_every_silent_failure_returns_to_the_spa(world: World) -> None:
    world.get(world.callback_url())
    orders: list[tuple[Callable[[], Any], str]] = [
        (lambda: world.control.control("POST", "id_token", omit=True), "id_token_invalid"),
        (lambda: world.control.control("POST", "faults", endpoint="token", do="status"),
         "provider_unavailable"),
        (lambda: world.control.control("POST", "faults", endpoint="token", do="drop_after"),
         "provider_unavailable"),
        (lambda: setattr(world, "fail_with", StoreUnavailable("x")), "store_unavailable"),
        (lambda: setattr(world, "fail_with", RuntimeError("x")), "internal_error"),
    ]  # fmt: skip
    for prepare, code in orders:
        url = silent_callback(world)
        prepare()
        assert error_in(world.get(url)) == code
        assert world.login_cookies() == set()
    url = silent_callback(world)
    assert error_in(world.get(changed(url, iss="https://evil.example/"))) == "issuer_mismatch"
    url = silent_callback(world)
    assert error_in(world.get(f"{url}&code=twice")) == "parameter_invalid"


def test_a_silent_sign_in_returns_even_if_the_provider_is_down(world: World) -> None:
    world.control.control("POST", "faults", endpoint="discovery", do="drop_before", times=9)
    response = world.get(f"/auth/login?{urlencode(SILENT)}")
    assert error_in(response) == "provider_unavailable"
    assert world.login_cookies() == set()


@pytest.mark.parametrize(
    ("headers", "settings", "begins"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, {}, True),
        ({"Sec-Fetch-Site": "none"}, {}, True),
        ({"Sec-Fetch-Site": "none"}, {"BFF_REFUSE_TYPED_ADDRESSES": "true"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, {}, False),
        ({"Sec-Fetch-Site": "same-site"}, {}, False),
        ({"Sec-Fetch-Site": "cross-site", "Referer": "{ours}/page"}, {}, False),
        ({"Sec-Fetch-Site": "rubbish"}, {}, False),
        ({"Referer": "{ours}/page"}, {}, True),
        ({"Referer": "{ours}.evil.example/"}, {}, False),
        ({"Referer": "https://evil.example/"}, {}, False),
        ({}, {}, True),
    ],
)
def test_a_link_of_another_site_leads_to_the_app_and_not_to_a_silent_sign_in(
    world_for: Callable[..., World],
    audit_lines: Callable[[], list[dict[str, Any]]],
    headers: dict[str, str],
    settings: dict[str, str],
    begins: bool,
) -> None:
    world = world_for({}, **settings)
    ours = world.config.app_base_url
    said = {name: value.format(ours=ours) for name, value in headers.items()}
    response = world.get(f"/auth/login?{urlencode(SILENT)}", **said)
    if begins:
        assert response.status_code == 302
        return
    assert error_in(response) == "cross_site"
    assert world.login_cookies() == set()
    assert audit_lines()[-1]["reason"] == "cross_site"
    # The page that the user then sees is ours, and may ask.
    again = world.get(f"/auth/login?{urlencode(SILENT)}", **{"Sec-Fetch-Site": "same-origin"})
    assert again.status_code == 302


@pytest.mark.parametrize(
    ("return_to", "expected"),
    [
        ("/", "/?error=a%26b"), ("/x", "/x?error=a%26b"), ("/x?", "/x?error=a%26b"),
        ("/x?y=1", "/x?y=1&error=a%26b"), ("/x#y", "/x?error=a%26b#y"),
        ("/x?y=%2F&z#/r?q", "/x?y=%2F&z&error=a%26b#/r?q"),
    ],
)  # fmt: skip
def test_the_error_is_appended_to_the_query(return_to: str, expected: str) -> None:
    assert with_error(return_to, "a&b") == expected
