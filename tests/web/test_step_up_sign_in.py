"""A request needs a stronger sign-in than the session has: RFC 9470, end to end over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from demo.provider.second_step import STRONG_ACR, STRONG_AMR
from tests.support.ageing import age_access_token, age_sign_in
from tests.support.browser_client import BrowserClient
from tests.support.cluster import EMAIL, PASSWORD, Cluster
from tests.support.processes import free_port
from tests.support.provider_form import sign_in_at_provider

CODE = "insufficient_user_authentication"
LOGIN_URL = "/auth/login?acr_values=urn%3Ademo%3Astrong&max_age=300"
MAX_AGE_SECONDS = 300

pytestmark = pytest.mark.session_cache


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, session_cache: str) -> Iterator[Cluster]:
    """The demo API at `/api` demands it for `/transfer`; the route `/strict` demands it itself."""
    file = tmp_path_factory.mktemp("routes") / "routes.toml"
    # Nothing listens there, so a request that reaches it gets a 502.
    file.write_text(
        f"""
        [[route]]
        prefix = "/strict"
        upstream = "http://127.0.0.1:{free_port()}"
        acr_values = ["{STRONG_ACR}"]
        max_age_seconds = {MAX_AGE_SECONDS}
        """
    )
    with Cluster(replicas=2, env={"BFF_ROUTES_FILE": str(file)}) as cluster:
        yield cluster


@pytest.fixture
def browser(cluster: Cluster) -> BrowserClient:
    """A browser that has signed in with a password."""
    browser = cluster.browser()
    browser.log_in()
    return browser


def demanded(response: requests.Response) -> dict[str, Any]:
    """The demand in a refused response."""
    assert (response.status_code, response.headers["Content-Type"]) == (
        401,
        "application/problem+json",
    )
    problem: dict[str, Any] = response.json()
    assert problem["code"] == CODE
    return problem


def go_to(browser: BrowserClient, login_url: str, **second_step: str) -> requests.Response:
    """Follow a `login_url` as the SPA does, and sign in at the provider."""
    chosen = {"second_step": second_step} if second_step else {}
    url = browser.authorize_url(login_url + "&returnTo=%2Forders%3Fn%3D1%23pay")
    at = sign_in_at_provider(browser.at_provider, url, EMAIL, PASSWORD, **chosen)
    return browser.come_back(at)


def test_the_apis_demand_leads_to_a_stronger_sign_in_and_back_to_the_page(
    browser: BrowserClient,
) -> None:
    old = browser.cookie
    problem = demanded(browser.fetch("POST", "/api/transfer", json={"amount": 1}))
    assert problem["login_url"] == LOGIN_URL
    assert (problem["acr_values"], problem["max_age"]) == (STRONG_ACR, MAX_AGE_SECONDS)
    assert browser.api("/items").status_code == 200
    response = go_to(browser, problem["login_url"])
    assert (response.status_code, response.headers["Location"]) == (303, "/orders?n=1#pay")
    for replica in (0, 1):
        done = browser.fetch("POST", "/api/transfer", replica=replica, json={})
        assert (done.status_code, done.json()["acr"]) == (200, STRONG_ACR)
    assert browser.cookie != old
    new, browser.here.cookies = browser.here.cookies, requests.cookies.RequestsCookieJar()
    stolen = {c.name: old or "" for c in new if c.name.endswith("session")}
    for replica in (0, 1):
        response = browser.fetch("GET", "/api/items", replica=replica, cookies=stolen)
        assert (response.status_code, response.json()["code"]) == (401, "session_ended")


def test_the_provider_is_asked_for_what_was_demanded(browser: BrowserClient) -> None:
    login_url = demanded(browser.api("/transfer"))["login_url"]
    asked = parse_qs(urlsplit(browser.authorize_url(login_url)).query)
    assert (asked["acr_values"], asked["max_age"]) == ([STRONG_ACR], [str(MAX_AGE_SECONDS)])


def test_a_weaker_sign_in_than_demanded_succeeds_and_the_request_is_refused_again(
    browser: BrowserClient,
) -> None:
    """No loop: neither the BFF nor the SPA redirects by itself."""
    login_url = demanded(browser.api("/transfer"))["login_url"]
    for _ in range(2):
        assert go_to(browser, login_url, one_time_code="", skip="yes").status_code == 303
        assert demanded(browser.api("/transfer"))["login_url"] == login_url
        assert browser.api("/items").status_code == 200


def test_a_route_demands_it_before_the_upstream_is_contacted(browser: BrowserClient) -> None:
    problem = demanded(browser.fetch("GET", "/strict/x"))
    assert problem["login_url"] == LOGIN_URL
    go_to(browser, problem["login_url"])
    response = browser.fetch("GET", "/strict/x")
    assert (response.status_code, response.json()["code"]) == (502, "upstream_unreachable")


def test_a_sign_in_becomes_too_old(cluster: Cluster, browser: BrowserClient) -> None:
    go_to(browser, LOGIN_URL)
    assert browser.fetch("GET", "/strict/x").status_code == 502
    age_sign_in(cluster, browser.cookie, MAX_AGE_SECONDS + 60)
    problem = demanded(browser.fetch("GET", "/strict/x"))
    assert problem["max_age"] == MAX_AGE_SECONDS


def test_a_refresh_does_not_weaken_the_sign_in(cluster: Cluster, browser: BrowserClient) -> None:
    """Auth0's refreshed ID tokens have no `amr`, and this provider's have no `acr` either."""
    go_to(browser, LOGIN_URL)
    for override in ({}, {"acr": "urn:weak", "amr": ["pwd"], "auth_time": 1}):
        cluster.control("POST", "id_token", override=override)
        before = cluster.counts()
        age_access_token(cluster, browser.cookie, 0)
        assert browser.fetch("GET", "/strict/x").status_code == 502
        after = cluster.counts()
        refreshed = "token.refresh_token.ok"
        assert after[refreshed] == before.get(refreshed, 0) + 1


def test_a_navigation_gets_a_page_with_a_link_to_the_sign_in_and_back(
    cluster: Cluster, browser: BrowserClient
) -> None:
    page = browser.navigate("/api/transfer", Referer=f"{cluster.base_url}/orders?n=1")
    assert (page.status_code, page.headers["Content-Type"]) == (401, "text/html; charset=utf-8")
    link = f"{LOGIN_URL}&returnTo=%2Forders%3Fn%3D1".replace("&", "&amp;")
    assert f'href="{link}"' in page.text


def test_the_access_token_tells_the_api_of_the_sign_in(browser: BrowserClient) -> None:
    go_to(browser, LOGIN_URL)
    claims = browser.api("/whoami").json()["claims"]
    assert (claims["acr"], claims["amr"]) == (STRONG_ACR, list(STRONG_AMR))
