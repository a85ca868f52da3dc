"""A callback that comes again, or too late: nobody is stuck, and the page to return to is kept."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from urllib.parse import quote, urlencode, urlsplit

import pytest

from bff.core.errors import StoreUnavailable
from bff.web.login_transaction import COOKIES_MAX
from tests.support.browser_client import BrowserClient
from tests.support.cluster import EMAIL, PASSWORD, Cluster
from tests.support.provider_form import sign_in_at_provider
from tests.support.signing_in import World, code_of

PAGE = "/orders/7?view=all#part"
REPLICAS = 2


def sign_in_link(page: str) -> str:
    """As it stands in the HTML of an error page."""
    return f'href="/auth/login?{urlencode({"returnTo": page})}"'


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(REPLICAS) as started:
        yield started


def signed_in(cluster: Cluster) -> tuple[BrowserClient, str]:
    """A browser that has signed in, and the address of its callback."""
    browser = cluster.browser()
    url = browser.authorize_url(f"/auth/login?returnTo={quote(PAGE)}")
    callback = sign_in_at_provider(browser.at_provider, url, EMAIL, PASSWORD)
    assert browser.come_back(callback).headers["Location"] == PAGE
    # As the browser does: this client keeps what a response deletes.
    for cookie in [one for one in browser.here.cookies if "login-" in one.name]:
        browser.here.cookies.clear(cookie.domain, cookie.path, cookie.name)
    return browser, callback


@pytest.mark.parametrize("strict_cookie", [True, False], ids=["reload", "from-the-provider"])
def test_who_is_signed_in_already_gets_to_the_page(cluster: Cluster, strict_cookie: bool) -> None:
    """A reload brings the Strict cookie, Back and submit at the provider's form doesn't."""
    browser, callback = signed_in(cluster)
    if strict_cookie:
        parts = urlsplit(callback)
        response = browser.navigate(f"{parts.path}?{parts.query}", replica=1)
    else:
        response = browser.come_back(callback, replica=1)
    assert (response.status_code, response.headers["Location"]) == (303, PAGE)
    assert browser.profile().status_code == 200


def test_a_callback_that_comes_twice_at_once_is_no_error(cluster: Cluster) -> None:
    """The second one still has the cookie that the response to the first deletes."""
    browser = cluster.browser()
    url = browser.authorize_url(f"/auth/login?returnTo={quote(PAGE)}")
    callback = sign_in_at_provider(browser.at_provider, url, EMAIL, PASSWORD)
    for _ in range(2):
        response = browser.come_back(callback)
        assert (response.status_code, response.headers["Location"]) == (303, PAGE)


def test_after_a_logout_the_old_callback_signs_nobody_in(cluster: Cluster) -> None:
    browser, callback = signed_in(cluster)
    assert browser.log_out().status_code == 200
    response = browser.come_back(callback)
    assert response.status_code == 400
    assert sign_in_link(PAGE) in response.text
    assert browser.profile().status_code == 401


def test_a_sign_in_that_took_too_long_offers_another_to_the_same_page(world: World) -> None:
    url = world.callback_url(returnTo=PAGE)
    world.browser = world.new_browser()  # Its cookie has expired.
    response = world.get(url)
    assert (response.status_code, code_of(response)) == (400, "state_invalid")
    assert sign_in_link(PAGE) in response.text


def test_the_next_sign_in_asks_for_the_same(world: World) -> None:
    """An organization, or a step-up; else the user would end up with less than was demanded."""
    asked = {"organization": "org_1", "acr_values": "mfa gold", "max_age": "0", "prompt": "login"}
    url = world.callback_url(returnTo=PAGE, **asked)
    world.control.control("POST", "faults", endpoint="token", do="status", status=503, times=1)
    response = world.get(url)
    assert response.status_code == 503
    link = f'href="/auth/login?{escape(urlencode({"returnTo": PAGE} | asked))}"'
    assert link in response.text


@pytest.mark.parametrize("do", ["drop_before", "status"])
def test_an_outage_before_the_code_is_used_costs_a_reload_only(world: World, do: str) -> None:
    url = world.callback_url(returnTo=PAGE)
    world.control.control("POST", "faults", endpoint="token", do=do, status=503, times=1)
    response = world.get(url)
    assert (response.status_code, code_of(response)) == (503, "provider_unavailable")
    assert sign_in_link(PAGE) in response.text
    response = world.get(url)
    assert (response.status_code, response.headers["Location"]) == (303, PAGE)
    assert world.login_cookies() == set()


def test_an_outage_after_the_code_is_used_offers_another_sign_in(world: World) -> None:
    url = world.callback_url(returnTo=PAGE)
    world.fail_with = StoreUnavailable("x")
    response = world.get(url)
    assert (response.status_code, code_of(response)) == (503, "store_unavailable")
    assert sign_in_link(PAGE) in response.text
    assert world.login_cookies() == set()


def test_a_code_that_was_used_offers_another_sign_in(world: World) -> None:
    """The response to the first exchange was lost, so the code is used and the cookie is there."""
    url = world.callback_url(returnTo=PAGE)
    world.control.control("POST", "faults", endpoint="token", do="drop_after", times=1)
    assert world.get(url).status_code == 503
    response = world.get(url)
    assert (response.status_code, code_of(response)) == (502, "provider_rejected")
    assert sign_in_link(PAGE) in response.text
    assert world.login_cookies() == set()


@pytest.mark.parametrize(
    ("characters", "tabs"),
    [(10, COOKIES_MAX), (200, COOKIES_MAX), (201, COOKIES_MAX), (512, COOKIES_MAX), (1999, 5)],
)
def test_many_tabs_with_long_addresses_all_finish(world: World, characters: int, tabs: int) -> None:
    """The oldest may lose their page, not their sign-in."""
    pages = [f"/{number}?".ljust(characters, "x") for number in range(tabs)]
    urls = [world.callback_url(returnTo=page) for page in pages]
    returned = [world.get(url).headers["Location"] for url in urls]
    assert returned[-1] == pages[-1]
    assert set(returned) <= {"/", *pages}
    assert characters > 200 or returned == pages
    assert len(world.begun) == len(pages)


def test_a_tab_beyond_the_bound_gets_to_its_page_by_one_click(world: World) -> None:
    urls = [world.callback_url(returnTo=f"/tab/{number}") for number in range(COOKIES_MAX + 1)]
    response = world.get(urls[0])
    assert code_of(response) == "state_invalid"
    assert sign_in_link("/tab/0") in response.text
    assert world.get(urls[1]).headers["Location"] == "/tab/1"
