"""`GET /auth/profile`: the signed-in user and the times of the session, over real services."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from bff.config import Config
from tests.support.ageing import record_name, run_out
from tests.support.browser_client import BrowserClient
from tests.support.cluster import Cluster

IDLE_SECONDS, ABSOLUTE_SECONDS = 3600, 7200


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    env = {
        "BFF_SESSION_IDLE_SECONDS": str(IDLE_SECONDS),
        "BFF_SESSION_ABSOLUTE_SECONDS": str(ABSOLUTE_SECONDS),
    }
    with Cluster(env=env) as cluster:
        yield cluster


@pytest.fixture
def browser(cluster: Cluster) -> BrowserClient:
    browser = cluster.browser()
    browser.log_in()
    return browser


def idle_end(cluster: Cluster, browser: BrowserClient) -> int:
    return int(cluster.store().hget(record_name(cluster, browser.cookie), "idle_ends_at") or 0)


def move_idle_end(cluster: Cluster, browser: BrowserClient, seconds: int) -> None:
    """Move the last request so many seconds."""
    name = record_name(cluster, browser.cookie)
    cluster.store().hincrby(name, "idle_ends_at", seconds)
    cluster.store().hincrby(name, "last_seen_at", seconds)


def assert_problem(response: requests.Response, status: int, code: str) -> None:
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["code"] == code
    assert response.headers["Cache-Control"] == "no-store"


def test_profile_has_the_claims_and_the_times(browser: BrowserClient) -> None:
    response = browser.profile()
    assert response.status_code == 200
    profile = response.json()
    assert set(profile) == {"user", "session", "logout_url"}
    assert profile["user"]["sub"] == "auth0|demo"
    assert profile["user"]["name"] == "Dana Demo"
    assert profile["user"]["email"] == "demo@example.com"
    assert profile["logout_url"] == "/auth/logout"
    times = profile["session"]
    assert IDLE_SECONDS - 60 < times["idle_seconds_left"] <= IDLE_SECONDS
    assert ABSOLUTE_SECONDS - 60 < times["absolute_seconds_left"] <= ABSOLUTE_SECONDS
    assert 240 < times["access_token_seconds_left"] <= 300
    assert set(times) == {
        "id", "created_at", "idle_seconds_left", "absolute_seconds_left",
        "access_token_seconds_left",
    }  # fmt: skip


def test_profile_shows_allowed_claims_only(browser: BrowserClient) -> None:
    user = browser.profile().json()["user"]
    assert set(user) <= {*Config.model_fields["profile_claims"].default}
    assert not {"iss", "aud", "exp", "iat", "nonce", "sid", "at_hash", "auth_time"} & set(user)


def test_profile_is_not_stored(browser: BrowserClient) -> None:
    headers = browser.profile().headers
    assert "no-store" in headers["Cache-Control"]
    assert "Cookie" in headers["Vary"]
    assert "Access-Control-Allow-Origin" not in headers


def test_profile_does_not_extend_the_idle_time(cluster: Cluster, browser: BrowserClient) -> None:
    move_idle_end(cluster, browser, -1000)
    before = idle_end(cluster, browser)
    assert browser.profile().json()["session"]["idle_seconds_left"] <= IDLE_SECONDS - 1000
    assert browser.fetch("GET", "/auth/profile?slide=false").status_code == 200
    assert idle_end(cluster, browser) == before


def test_profile_extends_the_idle_time_if_asked_to(
    cluster: Cluster, browser: BrowserClient
) -> None:
    move_idle_end(cluster, browser, -1000)
    before = idle_end(cluster, browser)
    response = browser.fetch("GET", "/auth/profile?slide=true")
    assert response.json()["session"]["idle_seconds_left"] > IDLE_SECONDS - 60
    assert idle_end(cluster, browser) >= before + 1000


def test_profile_never_extends_it_past_the_absolute_end(
    cluster: Cluster, browser: BrowserClient
) -> None:
    name = record_name(cluster, browser.cookie)
    move_idle_end(cluster, browser, -2000)
    absolute = idle_end(cluster, browser) + 500
    cluster.store().hset(name, "absolute_ends_at", absolute)
    assert browser.fetch("GET", "/auth/profile?slide=true").status_code == 200
    assert idle_end(cluster, browser) == absolute


def test_profile_without_a_cookie_has_the_address_of_the_sign_in(cluster: Cluster) -> None:
    response = cluster.browser().profile()
    assert_problem(response, 401, "session_missing")
    assert response.json()["login_url"] == "/auth/login"
    assert "Set-Cookie" not in response.headers


@pytest.mark.parametrize("value", ["x", "A" * 43, "A" * 42, "A" * 44, "A" * 4000, "a b", "ä"])
def test_profile_with_a_made_up_cookie_is_refused(cluster: Cluster, value: str) -> None:
    response = requests.get(
        f"{cluster.url()}/auth/profile",
        headers={"Cookie": f"session={value}".encode(), "Sec-Fetch-Site": "same-origin"},
        timeout=10,
    )
    # Granian hides the whole header for a byte beyond ASCII.
    codes = {"A" * 43: "session_ended", "ä": "cookies_unreadable"}
    assert_problem(response, 401, codes.get(value, "session_missing"))


def test_profile_of_an_expired_session_is_refused(cluster: Cluster, browser: BrowserClient) -> None:
    run_out(cluster, browser.cookie)
    for path in ("/auth/profile", "/auth/profile?slide=true"):
        assert_problem(browser.fetch("GET", path), 401, "session_ended")


@pytest.mark.parametrize("site", ["cross-site", "same-site", "rubbish", ""])
def test_profile_is_not_for_another_site(browser: BrowserClient, site: str) -> None:
    response = browser.fetch("GET", "/auth/profile", headers={"Sec-Fetch-Site": site})
    assert_problem(response, 403, "cross_site")


def test_profile_for_a_program_without_fetch_metadata_needs_the_header(
    cluster: Cluster, browser: BrowserClient
) -> None:
    def ask(**headers: str) -> requests.Response:
        cookie = {"Cookie": f"session={browser.cookie}"}
        return requests.get(f"{cluster.url()}/auth/profile", headers=cookie | headers, timeout=10)

    assert_problem(ask(), 403, "cross_site")
    assert ask(**{"X-CSRF": "1"}).status_code == 200
    assert ask(**{"X-CSRF": "1", "Origin": cluster.base_url}).status_code == 200
    assert_problem(ask(**{"X-CSRF": "1", "Origin": "http://evil.example"}), 403, "cross_site")
    assert_problem(ask(**{"X-CSRF": "1", "Origin": "null"}), 403, "cross_site")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_profile_is_only_read(browser: BrowserClient, method: str) -> None:
    response = browser.fetch(method, "/auth/profile")
    assert_problem(response, 405, "method_not_allowed")
    assert "GET" in response.headers["Allow"]


def test_half_an_emoji_in_a_name_costs_neither_the_sign_in_nor_the_profile(
    cluster: Cluster,
) -> None:
    """A name that was cut after so many UTF-16 units; `sub` with it is refused as such."""
    browser = cluster.browser()
    cluster.control("POST", "id_token", override={"name": "Dana \ud83d"})
    browser.log_in()
    assert browser.profile().json()["user"]["name"] == "Dana \ufffd"
