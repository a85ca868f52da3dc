"""Signing out against the certified provider, which does not revoke `offline_access` by itself."""

from __future__ import annotations

import time
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from tests.interop.cluster import CLIENTS, InteropBrowser, InteropCluster
from tests.interop.test_interop import REFRESHED, grants_since, refresh_works, status_with
from tests.support.ageing import age_access_token
from tests.support.scale import rounds
from tests.support.storm import Shot, fire
from tests.support.waiting import wait_for

pytestmark = pytest.mark.session_cache

PROVIDER_TIMEOUT_SECONDS = 3


def test_logout_revokes_the_refresh_token_at_once(cluster: InteropCluster) -> None:
    browser, others = cluster.browser(), set(cluster.alive())
    browser.log_in()
    refresh_works(cluster, browser)
    (held,) = set(cluster.alive()) - others
    cookie = browser.cookie
    assert browser.log_out().status_code == 200
    assert held not in cluster.alive()
    refused = cluster.spend_directly(held)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
    assert status_with(cluster, cookie) == 401
    assert cluster.keys("{outbox}:entry") == []


@pytest.mark.parametrize("hint", ["false", "true"])
def test_the_providers_own_logout_still_works_after_the_revocation(hint: str) -> None:
    """The question of Keycloak #34234. Here the revoked grant takes nothing from the logout.

    The provider asks for a yes, ends its session, sends its logout token with our `sid`, and sends
    the browser back; `/auth/logged-out` brings it to the SPA.
    """
    with InteropCluster(env={"BFF_LOGOUT_ID_TOKEN_HINT": hint}) as cluster:
        browser = cluster.browser()
        browser.log_in()
        logout_url = browser.log_out().json()["logout_url"]
        assert cluster.counts()["grant.revoked"] == 1, "the revocation came first"
        sent = parse_qs(urlsplit(logout_url).query)
        assert ("id_token_hint" in sent) == (hint == "true")
        assert_lands_on_the_spa(browser, browser.finish_logout(logout_url), cluster)
        (logout_token,) = cluster.control("GET", "logout-tokens")
        assert logout_token["sid"] == sent["logout_hint"][0]
        assert logout_token["status"] == 200, "the session was gone already, which is success too"
        assert silent_error(browser) == "login_required", "its session is still there"


def assert_lands_on_the_spa(
    browser: InteropBrowser, location: str, cluster: InteropCluster
) -> None:
    assert location.startswith(f"{cluster.base_url}/auth/logged-out?state=")
    answer = browser.navigate(location)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    page = browser.navigate("/")
    assert (page.status_code, page.headers["Content-Type"].split(";")[0]) == (200, "text/html")
    assert browser.profile().status_code == 401


def test_its_own_logout_token_ends_the_session_at_every_replica(cluster: InteropCluster) -> None:
    """Signed by the certified provider: somebody signs out there, and isn't here at all."""
    laptop, phone = cluster.browser("ada@example.com"), cluster.browser("bob@example.com")
    laptop.log_in(replica=1)
    phone.log_in()
    held = set(cluster.alive())
    before = len(cluster.control("GET", "logout-tokens"))
    laptop.finish_logout(f"{cluster.issuer}/session/end?{urlencode(their_page(cluster))}")
    [sent] = cluster.control("GET", "logout-tokens")[before:]
    assert (sent["status"], sent["typ"]) == (200, "logout+jwt")
    for replica in range(len(cluster.ports)):
        assert laptop.profile(replica=replica).status_code == 401
        assert phone.profile(replica=replica).status_code == 200
    cluster.wait_until_outbox_is_empty()
    assert len(held - set(cluster.alive())) == 1, "the laptop's refresh token is revoked"
    refresh_works(cluster, phone)
    laptop.log_in()
    refresh_works(cluster, laptop)


def their_page(cluster: InteropCluster) -> dict[str, str]:
    """Parameters that let the provider send the browser away, so that its pages have an end."""
    return {
        "client_id": cluster.client["client_id"],
        "post_logout_redirect_uri": f"{cluster.base_url}/auth/logged-out",
    }


def silent_error(browser: InteropBrowser) -> str:
    """What a silent sign-in is refused with at the provider."""
    location = browser.provider_answer("/auth/login?prompt=none")
    return parse_qs(urlsplit(location).query)["error"][0]


def test_a_sign_in_after_a_logout_without_the_providers_logout_is_whole(
    cluster: InteropCluster,
) -> None:
    """Its session lives on and remembers a grant that was revoked."""
    browser = cluster.browser()
    browser.log_in()
    browser.log_out()
    assert silent_error(browser) == "consent_required", "somebody is still signed in there"
    browser.log_in()
    refresh_works(cluster, browser)


def test_a_no_at_the_providers_page_leaves_its_session_and_still_ends_ours(
    cluster: InteropCluster,
) -> None:
    browser = cluster.browser()
    browser.log_in()
    logout_url = browser.log_out().json()["logout_url"]
    location = browser.finish_logout(logout_url, say_yes=False)
    assert_lands_on_the_spa(browser, location, cluster)
    assert silent_error(browser) == "consent_required", "somebody is still signed in there"


def test_one_devices_logout_leaves_the_other_signed_in(cluster: InteropCluster) -> None:
    laptop, phone = cluster.browser(), cluster.browser()
    laptop.log_in()
    phone.log_in()
    assert laptop.log_out().status_code == 200
    refresh_works(cluster, phone)


def test_promise_3_a_paused_provider_delays_the_revocation_and_not_the_logout() -> None:
    env = {"BFF_PROVIDER_TIMEOUT_SECONDS": str(PROVIDER_TIMEOUT_SECONDS)}
    with InteropCluster(2, env=env) as cluster:
        browser = cluster.browser()
        browser.log_in()
        (held,) = cluster.alive()
        cookie = browser.cookie
        cluster.provider.pause()
        began_at = time.monotonic()
        assert browser.log_out().status_code == 200
        assert time.monotonic() - began_at < 2 * PROVIDER_TIMEOUT_SECONDS
        assert status_with(cluster, cookie) == 401
        assert len(cluster.keys("{outbox}:entry")) == 1
        cluster.provider.resume()
        cluster.wait_until_outbox_is_empty()
        assert held not in cluster.alive()
        assert cluster.keys("tombstone") == []


def test_promise_3_a_logout_amid_a_refresh_leaves_no_refresh_token_alive(
    cluster: InteropCluster,
) -> None:
    """Here the whole grant falls with any of its tokens, so this judges the outcome only."""
    others, before = set(cluster.alive()), cluster.counts()
    for number in range(rounds(full=100, reduced=10)):
        browser = cluster.browser()
        browser.log_in()
        age_access_token(cluster, browser.cookie, 0)
        cookie, ports = browser.cookie or "", cluster.ports
        requests = [Shot(ports[i % len(ports)], "/api/items", cookie) for i in range(9)]
        logout = Shot(ports[0], "/auth/logout", cookie, "POST", {"Content-Length": "0"})
        requests.insert(number % 10, logout)
        statuses = [answer.status for answer in fire(requests)]
        assert statuses[number % 10] == 200
        assert set(statuses) <= {200, 401}, f"round {number}: {statuses}"
        assert status_with(cluster, cookie) == 401
    assert grants_since(cluster, before)[REFRESHED] > 0, "no logout met a refresh"
    cluster.wait_until_outbox_is_empty()
    assert set(cluster.alive()) <= others


def test_a_provider_that_stalls_in_a_refresh_ends_the_session_and_leaves_no_token() -> None:
    """Without an overlap period nothing else is left: it acts after we have given up.

    503 while it stalls. Then it spends the token for an answer that nobody reads, and takes our
    second try for a theft, and revokes the grant.
    """
    env = {"BFF_PROVIDER_TIMEOUT_SECONDS": str(PROVIDER_TIMEOUT_SECONDS)}
    with InteropCluster(env=env) as cluster:
        browser = cluster.browser()
        browser.log_in()
        age_access_token(cluster, browser.cookie, 0)
        cluster.provider.pause()
        answer = browser.api("/items")
        assert (answer.status_code, answer.json()["code"]) == (503, "provider_unavailable")
        assert browser.profile().status_code == 200, "the session outlives the outage itself"
        cluster.provider.resume()
        wait_for(lambda: browser.api("/items").status_code != 503, "an answer other than 503")
        assert browser.api("/items").json()["code"] == "session_ended"
        cluster.wait_until_outbox_is_empty()
        assert cluster.counts()[REFRESHED] == 1
        assert cluster.alive() == []


@pytest.mark.parametrize("client", sorted(set(CLIENTS) - {"post"}))
def test_every_way_of_client_authentication_signs_in_refreshes_and_revokes(client: str) -> None:
    """`post` is what the other tests use. The secret has every special character of ASCII."""
    with InteropCluster(client=client) as cluster:
        browser = cluster.browser()
        browser.log_in()
        refresh_works(cluster, browser)
        refresh_works(cluster, browser)
        assert len(cluster.alive()) == 1
        assert browser.log_out().status_code == 200
        assert cluster.alive() == []
        assert cluster.counts()["revocation.200"] == 1
        assert cluster.keys("{outbox}:entry") == []
