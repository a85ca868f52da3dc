"""The list of a user's sessions, and ending them: `/auth/sessions` on two replicas."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import requests

from tests.support.ageing import age_sign_in, record_name
from tests.support.browser_client import NAVIGATION, BrowserClient
from tests.support.cluster import EMAIL, PASSWORD, Cluster
from tests.support.provider_form import sign_in_at_provider
from tests.support.waiting import wait_for

pytestmark = pytest.mark.session_cache

OTHER_EMAIL = "other@example.com"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
USERS = [
    {"email": EMAIL, "password": PASSWORD, "sub": "auth0|demo", "name": "Dana Demo"},
    {"email": OTHER_EMAIL, "password": PASSWORD, "sub": "auth0|other", "name": "Otto Other"},
]


@pytest.fixture(scope="module")
def cluster(session_cache: str) -> Iterator[Cluster]:
    with Cluster(replicas=2, provider={"users": USERS}) as cluster:
        yield cluster


@pytest.fixture
def signed_in(cluster: Cluster) -> Iterator[list[BrowserClient]]:
    """Two browsers of one user, whose sessions are ended afterwards."""
    browsers = [cluster.browser(), cluster.browser()]
    for replica, browser in enumerate(browsers):
        browser.log_in(replica=replica)
    yield browsers
    for browser in browsers:
        browser.log_out()


@pytest.fixture
def other_user(cluster: Cluster) -> Iterator[BrowserClient]:
    browser = BrowserClient([cluster.url(0), cluster.url(1)], OTHER_EMAIL, PASSWORD)
    browser.log_in()
    yield browser
    browser.log_out()
    browser.close()


def log_in_as(browser: BrowserClient, user_agent: str) -> None:
    """Sign in with this `User-Agent`."""
    url = sign_in_at_provider(browser.at_provider, browser.authorize_url(), EMAIL, PASSWORD)
    headers = NAVIGATION | {"Sec-Fetch-Site": "cross-site", "User-Agent": user_agent}
    response = browser.here.get(url, headers=headers, allow_redirects=False, timeout=10)
    assert response.status_code == 303


def devices(browser: BrowserClient, *, replica: int = 0) -> list[dict[str, object]]:
    response = browser.fetch("GET", "/auth/sessions", replica=replica)
    assert response.status_code == 200, response.text
    found: list[dict[str, object]] = response.json()["sessions"]
    return found


def own_id(browser: BrowserClient) -> str:
    return str(browser.profile().json()["session"]["id"])


def end(browser: BrowserClient, public_id: str, **headers: str) -> requests.Response:
    return browser.fetch("DELETE", f"/auth/sessions/{public_id}", headers=headers)


def assert_problem(response: requests.Response, status: int, code: str) -> None:
    assert (response.status_code, response.json()["code"]) == (status, code), response.text


def test_devices_both_browsers_are_listed_at_every_replica(
    signed_in: list[BrowserClient],
) -> None:
    for replica in (0, 1):
        for browser in signed_in:
            listed = devices(browser, replica=replica)
            assert [d["id"] for d in listed if d["current"]] == [own_id(browser)]
            assert {d["id"] for d in listed} == {own_id(b) for b in signed_in}


def test_devices_have_a_label_and_times_and_nothing_else(cluster: Cluster) -> None:
    browser = cluster.browser()
    before = int(time.time())
    log_in_as(browser, FIREFOX)
    (device,) = devices(browser)
    assert set(device) == {"id", "current", "browser", "created_at", "last_seen_at"}
    assert before - 1 <= int(str(device["created_at"])) <= int(str(device["last_seen_at"]))
    assert str(browser.cookie) not in str(device)
    assert device["browser"] == "Firefox on Linux"
    browser.log_out()


def test_devices_responses_are_not_stored(signed_in: list[BrowserClient]) -> None:
    response = signed_in[0].fetch("GET", "/auth/sessions")
    assert "no-store" in response.headers["Cache-Control"]


def test_devices_reading_the_list_extends_no_session(
    cluster: Cluster, signed_in: list[BrowserClient]
) -> None:
    """Otherwise a page that polls the list would never reach the idle limit."""
    name = record_name(cluster, signed_in[0].cookie)
    for field in ("last_seen_at", "idle_ends_at"):
        cluster.store().hincrby(name, field, -3600)
    before = cluster.store().hget(name, "idle_ends_at")
    assert len(devices(signed_in[0])) == 2
    assert cluster.store().hget(name, "idle_ends_at") == before


def test_devices_another_session_is_ended_at_every_replica(
    cluster: Cluster, signed_in: list[BrowserClient]
) -> None:
    here, there = signed_in
    before = cluster.active_refresh_tokens()
    response = end(here, own_id(there))
    assert (response.status_code, response.content) == (204, b"")
    assert "Set-Cookie" not in response.headers
    for replica in (0, 1):
        assert_problem(there.profile(replica=replica), 401, "session_ended")
        assert_problem(there.api("/items", replica=replica), 401, "session_ended")
        assert [d["current"] for d in devices(here, replica=replica)] == [True]
    assert here.api("/items").status_code == 200
    assert cluster.active_refresh_tokens() == before - 1


def test_devices_the_current_session_is_ended_and_its_cookie_deleted(
    cluster: Cluster, signed_in: list[BrowserClient]
) -> None:
    here, there = signed_in
    copied, before = here.cookie, cluster.active_refresh_tokens()
    response = end(here, own_id(here))
    assert response.status_code == 204
    assert "session=;" in response.headers["Set-Cookie"]
    assert here.cookie is None
    here.here.cookies.set("session", copied or "")
    for replica in (0, 1):
        assert_problem(here.profile(replica=replica), 401, "session_ended")
    assert there.profile().status_code == 200
    assert cluster.active_refresh_tokens() == before - 1


@pytest.mark.parametrize("public_id", ["x", "0" * 32, "0" * 64, "%2e%2e", "a" * 4000])
def test_devices_an_unknown_id_is_not_found(signed_in: list[BrowserClient], public_id: str) -> None:
    response = end(signed_in[0], public_id)
    assert response.status_code == 404, response.text
    assert len(devices(signed_in[0])) == 2


def test_devices_an_id_works_once(signed_in: list[BrowserClient]) -> None:
    here, there = signed_in
    public_id = own_id(there)
    assert end(here, public_id).status_code == 204
    assert_problem(end(here, public_id), 404, "session_unknown")


def test_devices_of_another_user_are_neither_listed_nor_ended(
    signed_in: list[BrowserClient], other_user: BrowserClient
) -> None:
    here = signed_in[0]
    theirs = own_id(other_user)
    assert theirs not in {d["id"] for d in devices(here)}
    assert [d["id"] for d in devices(other_user)] == [theirs]
    assert_problem(end(here, theirs), 404, "session_unknown")
    assert other_user.profile().status_code == 200


def test_devices_a_session_key_is_no_id(cluster: Cluster, signed_in: list[BrowserClient]) -> None:
    here = signed_in[0]
    for name in cluster.keys("session"):
        key = name.decode().partition("{")[2].rstrip("}")
        assert_problem(end(here, key), 404, "session_unknown")
    assert len(devices(here)) == 2


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none"])
def test_devices_are_not_ended_by_another_site(signed_in: list[BrowserClient], site: str) -> None:
    here, there = signed_in
    response = end(here, own_id(there), **{"Sec-Fetch-Site": site})
    assert_problem(response, 403, "cross_site")
    assert there.profile().status_code == 200


def test_devices_are_not_listed_for_another_site(signed_in: list[BrowserClient]) -> None:
    for site in ("cross-site", "same-site"):
        response = signed_in[0].fetch("GET", "/auth/sessions", headers={"Sec-Fetch-Site": site})
        assert_problem(response, 403, "cross_site")


def test_devices_need_a_session(cluster: Cluster) -> None:
    stranger = cluster.browser()
    response = stranger.fetch("GET", "/auth/sessions")
    assert_problem(response, 401, "session_missing")
    assert response.json()["login_url"] == "/auth/login"
    assert_problem(end(stranger, "0" * 32), 401, "session_missing")


def test_devices_ending_another_session_needs_a_recent_sign_in(
    cluster: Cluster, signed_in: list[BrowserClient]
) -> None:
    """ASVS 7.5.2; the response has the address of the sign-in that is needed."""
    mine, other = signed_in
    age_sign_in(cluster, mine.cookie, 901)
    refused = end(mine, own_id(other))
    assert (refused.status_code, refused.json()["code"]) == (403, "sign_in_not_fresh")
    assert refused.json()["login_url"] == "/auth/login?max_age=0"
    assert mine.fetch("DELETE", "/auth/sessions").status_code == 403
    assert other.profile().status_code == 200
    mine.at_provider.cookies.clear()
    mine.log_in(refused.json()["login_url"])
    assert end(mine, own_id(other)).status_code == 204
    assert other.profile(replica=1).status_code == 401


def test_devices_a_sign_in_of_unknown_age_is_not_recent(
    cluster: Cluster, signed_in: list[BrowserClient]
) -> None:
    mine, other = signed_in
    age_sign_in(cluster, mine.cookie, None)
    assert_problem(end(mine, own_id(other)), 403, "sign_in_not_fresh")
    assert_problem(mine.fetch("DELETE", "/auth/sessions"), 403, "sign_in_not_fresh")
    assert other.profile(replica=1).status_code == 200


def test_devices_the_demand_can_be_turned_off() -> None:
    with Cluster(env={"BFF_DEVICE_REAUTH_SECONDS": "0"}) as cluster:
        mine, other = cluster.browser(), cluster.browser()
        for browser in (mine, other):
            browser.log_in()
        age_sign_in(cluster, mine.cookie, 100_000)
        assert end(mine, own_id(other)).status_code == 204
        assert other.profile().status_code == 401


def test_devices_ending_the_current_session_needs_no_recent_sign_in(
    cluster: Cluster, signed_in: list[BrowserClient]
) -> None:
    mine = signed_in[0]
    age_sign_in(cluster, mine.cookie, 100_000)
    assert end(mine, own_id(mine)).status_code == 204
    assert mine.profile(replica=1).status_code == 401


def test_devices_one_request_ends_all_but_the_current_session(
    cluster: Cluster, signed_in: list[BrowserClient], other_user: BrowserClient
) -> None:
    """For example after a change of password (ASVS 7.4.3)."""
    mine, *others = [*signed_in, cluster.browser()]
    others[-1].log_in()
    response = mine.fetch("DELETE", "/auth/sessions")
    assert (response.status_code, response.json()) == (200, {"ended": 2})
    assert [other.profile(replica=1).status_code for other in others] == [401, 401]
    assert mine.profile(replica=1).status_code == 200
    assert other_user.profile().status_code == 200
    assert [d["current"] for d in devices(mine)] == [True]
    wait_for(lambda: cluster.active_refresh_tokens() == 2, "the revocation of the others")
