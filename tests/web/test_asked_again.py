"""What a sign-in asked for isn't lost in the next try: all that `/auth/login` passed on."""

from __future__ import annotations

from collections.abc import Callable
from html import unescape
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec
import pytest
from werkzeug.test import TestResponse

from bff.core.errors import SignInTooOld
from bff.core.model import LoginTransaction
from tests.support.signing_in import World, changed, code_of
from tests.web.test_callback_again import PAGE

ASKED = {
    "organization": "org_1", "acr_values": "mfa", "connection": "google", "screen_hint": "signup",
    "login_hint": "däna+x@example.com", "ui_locales": "de", "kc_idp_hint": "a&b=c", "max_age": "60",
    "prompt": "consent",
}  # fmt: skip
SHORT = {"organization": "org_1", "kc_idp_hint": "a&b=c", "prompt": "consent", "max_age": "60"}
NOT_OF_ANOTHER_ACCOUNT = {"login_hint"}


@pytest.fixture
def world(world_for: Callable[..., World]) -> World:
    return world_for(BFF_LOGIN_PARAMETERS="kc_idp_hint")


def offered(world: World, response: TestResponse) -> dict[str, str]:
    """The parameters of the page's button, which must begin a sign-in."""
    address = unescape(response.text).partition('class="button" href="')[2].partition('"')[0]
    assert world.get(address).status_code == 302, address
    return dict(parse_qsl(urlsplit(address).query))


def unavailable(world: World, asked: dict[str, str]) -> TestResponse:
    url = world.callback_url(returnTo=PAGE, **asked)
    world.control.control("POST", "faults", endpoint="token", do="status", status=503, times=1)
    return world.get(url)


def denied(world: World, asked: dict[str, str]) -> TestResponse:
    return world.get(
        changed(world.callback_url(returnTo=PAGE, **asked), code=None, error="access_denied")
    )


def expired(world: World, asked: dict[str, str]) -> TestResponse:
    url = world.callback_url(returnTo=PAGE, **asked)
    world.browser = world.new_browser()
    response = world.get(url)
    assert code_of(response) == "state_invalid"
    return response


def test_the_button_after_a_failure_asks_for_all_of_it(world: World) -> None:
    assert offered(world, unavailable(world, ASKED)) == {"returnTo": PAGE, **ASKED}


def test_another_account_is_offered_with_all_that_is_not_the_first_ones(world: World) -> None:
    """Who didn't consent is asked again, and not told that another account would do alone."""
    expected = {n: v for n, v in ASKED.items() if n not in NOT_OF_ANOTHER_ACCOUNT}
    expected |= {"returnTo": PAGE, "prompt": "select_account consent"}
    assert offered(world, denied(world, ASKED)) == expected


@pytest.mark.parametrize("error", ["server_error", "temporarily_unavailable"])
def test_after_a_failure_of_the_provider_the_same_account_is_offered(
    world: World, error: str
) -> None:
    url = world.callback_url(returnTo=PAGE, **ASKED)
    response = world.get(changed(url, code=None, error=error, error_description="Try later."))
    assert (response.status_code, code_of(response)) == (403, "sign_in_denied")
    assert "another account" not in response.text.lower()
    assert "Try later." in response.text
    assert offered(world, response) == {"returnTo": PAGE, **ASKED}


def test_the_link_of_an_expired_callback_asks_for_it(world: World) -> None:
    assert offered(world, expired(world, SHORT)) == {"returnTo": PAGE, **SHORT}
    assert offered(world, expired(world, SHORT | {"connection": "x" * 200})) == {"returnTo": PAGE}


def test_the_sign_in_that_is_repeated_asks_for_it(world: World) -> None:
    url = world.callback_url(returnTo=PAGE, **ASKED)
    world.control.control("POST", "id_token", override={"org_id": "org_1"})
    world.fail_with = SignInTooOld()
    second = world.get(url).headers["Location"]
    sent = dict(parse_qsl(urlsplit(second).query))
    expected = ASKED | {"max_age": "0", "prompt": "login consent"}
    assert {name: sent.get(name) for name in expected} == expected
    response = world.get(changed(world.at_provider(second), code=None, error="access_denied"))
    assert offered(world, response)["prompt"] == "select_account login consent"


@pytest.mark.parametrize("fail", [unavailable, denied, expired])
def test_an_invitation_is_used_once(
    world: World, fail: Callable[[World, dict[str, str]], TestResponse]
) -> None:
    """With a second use, the provider would refuse every try."""
    again = offered(world, fail(world, {"organization": "org_1", "invitation": "inv_1"}))
    assert (again["organization"], "invitation" in again) == ("org_1", False)


def test_more_than_a_cookie_holds_costs_the_next_try_not_this_one(world: World) -> None:
    long = dict.fromkeys(("connection", "login_hint", "ui_locales", "screen_hint"), "ü" * 500)
    url = world.callback_url(returnTo=PAGE, **long)
    assert world.get(url).headers["Location"] == PAGE


def test_many_tabs_that_ask_for_much_all_finish(world: World) -> None:
    asked = {n: v for n, v in ASKED.items() if n != "organization"} | {"connection": "x" * 300}
    urls = [world.callback_url(returnTo=f"/{number}", **asked) for number in range(5)]
    assert [world.get(url).headers["Location"] for url in urls] == [f"/{n}" for n in range(5)]


@pytest.mark.parametrize(
    "hostile",
    [{"prompt": "none consent"}, {"kc_idp_hint": "a\r\nb"}, {"connection": "x" * 513}],
    ids=["prompt", "line", "long"],
)
def test_hostile_values_stay_refused(world: World, hostile: dict[str, str]) -> None:
    response = world.get(f"/auth/login?{urlencode(ASKED | hostile)}")
    assert (response.status_code, code_of(response)) == (400, "parameter_invalid")
    assert world.login_cookies() == set()


def test_an_older_versions_transaction_can_be_asked_again() -> None:
    old: dict[str, Any] = {"state": "s", "nonce": "n", "code_verifier": "v", "return_to": "/",
                           "started_at": 1}  # fmt: skip
    assert msgspec.json.decode(msgspec.json.encode(old), type=LoginTransaction).asked == {}
