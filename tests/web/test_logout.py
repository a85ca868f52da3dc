"""Logout by fetch, by form and by link, with and without Fetch Metadata."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import requests

from tests.support.ageing import record_name
from tests.support.browser_client import NAVIGATION, BrowserClient
from tests.support.cluster import Cluster

pytestmark = pytest.mark.session_cache

FORM_TOKEN = re.compile(r'name="form_token" value="([0-9a-f]{64})"')


@pytest.fixture(scope="module")
def cluster(session_cache: str) -> Iterator[Cluster]:
    with Cluster(replicas=2) as cluster:
        yield cluster


@pytest.fixture
def browser(cluster: Cluster) -> BrowserClient:
    browser = cluster.browser()
    browser.log_in()
    return browser


def assert_signed_out(cluster: Cluster, browser: BrowserClient, copied: str | None) -> None:
    """The browser's cookie is deleted, and a copy of it is refused at every replica."""
    assert browser.cookie is None
    assert cluster.store().exists(record_name(cluster, copied)) == 0
    browser.here.cookies.set("session", copied or "")
    for replica in (0, 1):
        assert browser.profile(replica=replica).status_code == 401


def assert_at_provider(cluster: Cluster, location: str) -> dict[str, list[str]]:
    """*location* is the provider's logout, without a token; returns its query."""
    services = urlsplit(location)
    assert location.startswith(f"{cluster.issuer}oidc/logout?")
    query = parse_qs(services.query)
    assert {"logout_hint", "client_id", "post_logout_redirect_uri", "state"} == set(query)
    assert query["post_logout_redirect_uri"] == [f"{cluster.base_url}/auth/logged-out"]
    return query


def link(browser: BrowserClient, path: str = "/auth/logout", **headers: str) -> requests.Response:
    """Follow a link; `Sec_Fetch_Site` stands for `Sec-Fetch-Site`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return browser.navigate(path, replica=0, **named)


def plain_form(browser: BrowserClient, form_token: str | None, **headers: str) -> requests.Response:
    """Our form, posted by a browser without Fetch Metadata."""
    return browser.here.post(
        f"{browser.profile().url.removesuffix('/auth/profile')}/auth/logout",
        data={} if form_token is None else {"form_token": form_token},
        headers={"Accept": "text/html"} | headers,
        allow_redirects=False,
        timeout=10,
    )


def form_token_of(response: requests.Response) -> str:
    found = FORM_TOKEN.search(response.text)
    assert found, response.text
    return found[1]


# ---------------------------------------------------------------- by fetch
def test_logout_by_fetch(cluster: Cluster, browser: BrowserClient) -> None:
    copied = browser.cookie
    response = browser.log_out()
    assert response.status_code == 200
    assert list(response.json()) == ["logout_url"]
    assert_at_provider(cluster, response.json()["logout_url"])
    assert "no-store" in response.headers["Cache-Control"]
    assert response.headers["Clear-Site-Data"] == '"storage"'
    deleted = response.headers["Set-Cookie"]
    for attribute in ("session=;", "Max-Age=0", "Path=/", "HttpOnly", "SameSite=Strict"):
        assert attribute in deleted
    assert_signed_out(cluster, browser, copied)


def test_logout_without_the_cookie_clears_nothing(cluster: Cluster, browser: BrowserClient) -> None:
    """Nothing has been ended: a cookie that the browser has but didn't send would be lost."""
    response = cluster.browser().log_out()
    assert response.status_code == 200
    assert urlsplit(response.json()["logout_url"]).path == "/oidc/logout"
    assert not {"Set-Cookie", "Clear-Site-Data"} & set(response.headers)
    assert browser.profile().status_code == 200


@pytest.mark.parametrize(("destination", "clears"), [("document", True), ("empty", False)])
def test_a_page_that_a_service_worker_passes_on_does_not_end_the_worker(
    browser: BrowserClient, destination: str, clears: bool
) -> None:
    """In WebKit its response would never reach the page."""
    token = form_token_of(link(browser, Sec_Fetch_Site="cross-site"))
    headers = NAVIGATION | {"Sec-Fetch-Dest": destination}
    form = {"form_token": token}
    response = browser.fetch("POST", "/auth/logout", data=form, headers=headers)
    assert response.status_code == 303
    assert ("Clear-Site-Data" in response.headers) == clears


def test_logout_twice_works_too(browser: BrowserClient) -> None:
    copied = browser.cookie
    assert browser.log_out().status_code == 200
    browser.here.cookies.set("session", copied or "")
    assert browser.log_out().status_code == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none", "rubbish"])
def test_logout_by_fetch_of_another_site_is_refused(browser: BrowserClient, site: str) -> None:
    response = browser.fetch(
        "POST", "/auth/logout", headers={"X-CSRF": "1", "Sec-Fetch-Site": site}
    )
    assert (response.status_code, response.json()["code"]) == (403, "cross_site")
    assert "Set-Cookie" not in response.headers
    assert browser.profile().status_code == 200


# ---------------------------------------------------------------- by a link
def test_logout_by_a_link_of_ours(cluster: Cluster, browser: BrowserClient) -> None:
    copied = browser.cookie
    response = link(browser)
    assert response.status_code == 303
    assert_at_provider(cluster, response.headers["Location"])
    assert_signed_out(cluster, browser, copied)


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        # Also what Firefox says after a click on another site that redirects with no-referrer.
        {"Sec_Fetch_Site": "none"},
        {"Sec_Fetch_Mode": "cors", "Sec_Fetch_Dest": "empty"},
        {"Sec_Fetch_Mode": "cors"},
        {"Sec_Fetch_Mode": "no-cors", "Sec_Fetch_Dest": "image"},
        {"Sec_Fetch_Dest": "iframe"},
        {"Sec_Purpose": "prefetch"},
        {"Sec_Purpose": "prefetch;prerender"},
        {"Purpose": "prefetch"},
        {"X_Moz": "prefetch"},
    ],
    ids=str,
)
def test_logout_by_a_doubtful_link_asks_first(
    browser: BrowserClient, headers: dict[str, str]
) -> None:
    response = link(browser, **headers)
    assert response.status_code == 200
    assert form_token_of(response)
    assert "no-store" in response.headers["Cache-Control"]
    assert "session=" not in response.headers["Set-Cookie"]
    assert browser.profile().status_code == 200


@pytest.mark.parametrize("by", ["link", "post"])
def test_logout_that_asks_first_keeps_where_it_leads(browser: BrowserClient, by: str) -> None:
    path = "/auth/logout?" + urlencode({"returnTo": "/bye?a=1&b=%20c"})
    if by == "link":
        page = browser.fetch("GET", path, headers=NAVIGATION | {"Sec-Fetch-Site": "none"})
    else:
        # As a service worker passes on a form of the application.
        passed_on = NAVIGATION | {"Sec-Fetch-Mode": "same-origin", "Accept": "text/html"}
        page = browser.fetch("POST", path, headers=passed_on)
    action = re.search(r'action="([^"]+)"', page.text)
    assert action, page.text
    posted = browser.fetch(
        "POST", unescape(action[1]), headers=NAVIGATION, data={"form_token": form_token_of(page)}
    )
    assert posted.status_code == 303
    state = parse_qs(urlsplit(posted.headers["Location"]).query)["state"][0]
    back = browser.navigate("/auth/logged-out?" + urlencode({"state": state}))
    assert back.headers["Location"] == "/bye?a=1&b=%20c"


def test_logout_by_a_link_without_fetch_metadata_asks_first(browser: BrowserClient) -> None:
    url = browser.profile().url.replace("profile", "logout")
    response = browser.here.get(url, headers={"Accept": "text/html"}, allow_redirects=False)
    assert response.status_code == 200
    assert form_token_of(response)
    assert browser.profile().status_code == 200


def test_logout_by_head_does_nothing(browser: BrowserClient) -> None:
    response = browser.fetch("HEAD", "/auth/logout", headers=NAVIGATION)
    assert response.status_code == 200
    assert browser.profile().status_code == 200


@pytest.mark.parametrize("site", ["same-origin", "none", "cross-site"])
def test_logout_by_a_link_without_the_cookie_asks_and_the_form_ends_the_session(
    cluster: Cluster, browser: BrowserClient, site: str
) -> None:
    """A Strict cookie doesn't come from elsewhere; our form's post brings it."""
    copied = browser.cookie
    elsewhere = cluster.browser()
    response = link(elsewhere, Sec_Fetch_Site=site)
    assert (response.status_code, response.headers.get("Clear-Site-Data")) == (200, None)
    assert "session=" not in response.headers["Set-Cookie"]
    assert browser.profile().status_code == 200
    browser.here.cookies.update(elsewhere.here.cookies)
    posted = browser.fetch(
        "POST", "/auth/logout", headers=NAVIGATION, data={"form_token": form_token_of(response)}
    )
    assert posted.status_code == 303
    assert_signed_out(cluster, browser, copied)


def test_logout_with_two_cookies_of_our_name_ends_both_sessions(cluster: Cluster) -> None:
    """A sibling can plant one in WebKitGTK; the deletion hits the other one."""
    first, second = cluster.browser(), cluster.browser()
    first.log_in()
    second.log_in()
    both = f"session={first.cookie}; session=junk; session={second.cookie}"
    response = cluster.browser().fetch(
        "POST", "/auth/logout", headers={"X-CSRF": "1", "Cookie": both}
    )
    assert "session=;" in response.headers["Set-Cookie"]
    assert [b.profile().status_code for b in (first, second)] == [401, 401]


def test_logout_ends_a_session_that_can_not_be_read(
    cluster: Cluster, browser: BrowserClient
) -> None:
    """For example after its key was removed: what can't be revoked is reported."""
    copied = browser.cookie
    cluster.store().hset(record_name(cluster, copied), "tokens", "rubbish")
    assert browser.log_out().status_code == 200
    assert_signed_out(cluster, browser, copied)


# ---------------------------------------------------------------- by our form
def test_logout_by_our_form(cluster: Cluster, browser: BrowserClient) -> None:
    copied = browser.cookie
    token = form_token_of(link(browser, Sec_Fetch_Site="cross-site"))
    response = browser.fetch("POST", "/auth/logout", headers=NAVIGATION, data={"form_token": token})
    assert response.status_code == 303
    assert_at_provider(cluster, response.headers["Location"])
    assert_signed_out(cluster, browser, copied)


def test_logout_by_our_form_without_fetch_metadata(
    cluster: Cluster, browser: BrowserClient
) -> None:
    copied = browser.cookie
    token = form_token_of(link(browser, Sec_Fetch_Site="cross-site"))
    response = plain_form(browser, token, Origin=cluster.base_url)
    assert response.status_code == 303
    assert_signed_out(cluster, browser, copied)


@pytest.mark.parametrize("token", [None, "", "x", "0" * 64, "ä"])
def test_logout_by_a_form_without_its_token_is_refused(
    browser: BrowserClient, token: str | None
) -> None:
    link(browser, Sec_Fetch_Site="cross-site")
    assert plain_form(browser, token).status_code == 403
    assert browser.profile().status_code == 200


def test_logout_a_form_token_is_valid_in_its_own_browser_only(
    cluster: Cluster, browser: BrowserClient
) -> None:
    other = cluster.browser()
    token = form_token_of(link(other, Sec_Fetch_Site="cross-site"))
    assert plain_form(browser, token).status_code == 403
    link(browser, Sec_Fetch_Site="cross-site")
    assert plain_form(browser, token).status_code == 403
    assert browser.profile().status_code == 200


def test_logout_a_form_token_does_not_help_another_site(browser: BrowserClient) -> None:
    token = form_token_of(link(browser, Sec_Fetch_Site="cross-site"))
    assert plain_form(browser, token, Origin="http://evil.example").status_code == 403
    for site in ("cross-site", "same-site"):
        assert plain_form(browser, token, **{"Sec-Fetch-Site": site}).status_code == 403
    assert browser.profile().status_code == 200


# ---------------------------------------------------------------- where the browser goes
def test_logout_ends_the_providers_session_and_returns(
    cluster: Cluster, browser: BrowserClient
) -> None:
    location = link(browser, "/auth/logout?returnTo=/bye%3Fx=1").headers["Location"]
    response = browser.at_provider.get(location, allow_redirects=False, timeout=10)
    assert response.status_code in (302, 303)
    assert response.headers["Location"].startswith(f"{cluster.base_url}/auth/logged-out?")
    back = browser.navigate(response.headers["Location"])
    assert (back.status_code, back.headers["Location"]) == (303, "/bye?x=1")
    # The provider asks for the password again.
    form = browser.at_provider.get(browser.authorize_url(), timeout=10)
    assert 'type="password"' in form.text


@pytest.mark.parametrize("value", ["//evil.example", "https://evil.example", "/auth/login", "x"])
def test_logout_with_a_hostile_return_to_is_refused(browser: BrowserClient, value: str) -> None:
    response = browser.fetch(
        "POST", "/auth/logout", headers={"X-CSRF": "1"}, params={"returnTo": value}
    )
    assert (response.status_code, response.json()["code"]) == (400, "return_to_invalid")
    assert browser.profile().status_code == 200


@pytest.mark.parametrize("state", ["", "x", "AQAAAA", "%2F%2Fevil.example", "A" * 200, "%C3%A4"])
def test_logged_out_with_a_foreign_state_leads_to_the_start_page(
    cluster: Cluster, state: str
) -> None:
    for query in (f"?state={state}", ""):
        response = cluster.browser().navigate(f"/auth/logged-out{query}")
        assert (response.status_code, response.headers["Location"]) == (303, "/")
        assert "no-store" in response.headers["Cache-Control"]


def test_logged_out_accepts_no_other_sealed_value_as_state(cluster: Cluster) -> None:
    """A login transaction is sealed with the same key, for another purpose."""
    browser = cluster.browser()
    browser.authorize_url()
    (transaction,) = (c.value for c in browser.here.cookies if c.name.startswith("login-"))
    response = browser.navigate(f"/auth/logged-out?state={transaction}")
    assert response.headers["Location"] == "/"
