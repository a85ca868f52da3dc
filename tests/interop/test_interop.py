"""Sign-in, calls, refresh and a second sign-in against the certified provider."""

from __future__ import annotations

from collections import Counter
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

from tests.interop.cluster import SIGN_IN, InteropBrowser, InteropCluster
from tests.support.ageing import age_access_token, run_out, session_key
from tests.support.cluster import AUDIENCE
from tests.support.scale import rounds
from tests.support.storm import Shot, fire
from tests.support.waiting import wait_for

REQUESTS = 200
REFRESHED = "token.refresh_token.200"


def grants_since(cluster: InteropCluster, before: dict[str, int]) -> Counter[str]:
    """What was granted, refused and revoked there after *before* was counted.

    Metadata and keys don't count: the API fetches them, too, when it needs them.
    """
    asked = Counter(cluster.counts()) - Counter(before)
    return Counter({name: n for name, n in asked.items() if name.startswith(("token.", "grant."))})


def refresh_works(cluster: InteropCluster, browser: InteropBrowser) -> None:
    """Let the access token die; a request gets through all the same, with one refresh."""
    before = cluster.counts()
    age_access_token(cluster, browser.cookie, 0)
    assert browser.api("/items").status_code == 200
    assert grants_since(cluster, before) == {REFRESHED: 1}


# ---------------------------------------------------------------- sign-in
def test_sign_in_gives_a_session_and_the_api_accepts_its_token(cluster: InteropCluster) -> None:
    browser = cluster.browser("ada@example.com")
    assert browser.log_in(f"{SIGN_IN}&returnTo=/items").headers["Location"] == "/items"
    assert browser.profile().json()["user"] == {
        "sub": "ada@example.com",
        "email": "ada@example.com",
        "email_verified": True,
        "name": "Demo Person",
    }
    seen = browser.api("/whoami", replica=1).json()["claims"]
    assert (seen["iss"], seen["aud"], seen["sub"]) == (
        cluster.issuer,
        AUDIENCE,
        "ada@example.com",
    )


def test_the_request_has_what_the_standard_asks_for(cluster: InteropCluster) -> None:
    cluster.browser().authorize_url(SIGN_IN)
    sent = cluster.pushed()
    assert sent["code_challenge_method"] == "S256"
    assert len(sent["code_challenge"]) == 43
    assert len(sent["state"]) >= 32
    assert len(sent["nonce"]) >= 32
    assert sent["response_type"] == "code"


def test_a_silent_sign_in_without_a_provider_session_brings_the_spa_back(
    cluster: InteropCluster,
) -> None:
    browser = cluster.browser()
    answer = browser.come_back(browser.provider_answer("/auth/login?prompt=none&returnTo=/items"))
    assert (answer.status_code, answer.headers["Location"]) == (303, "/items?error=login_required")
    assert browser.cookie is None


def test_a_silent_sign_in_with_a_provider_session_succeeds(cluster: InteropCluster) -> None:
    browser = cluster.browser()
    browser.log_in()
    browser.here.cookies.clear()
    browser.log_in("/auth/login?prompt=none")
    assert browser.api("/items").status_code == 200


def test_max_age_0_is_met_by_a_fresh_auth_time(cluster: InteropCluster) -> None:
    browser = cluster.browser()
    browser.log_in()
    browser.log_in("/auth/login?prompt=login%20consent")
    assert browser.profile().status_code == 200


def test_a_callback_of_another_issuer_is_refused_and_its_code_not_spent(
    cluster: InteropCluster,
) -> None:
    """RFC 9207, 2.4: also when the announced parameter is missing."""
    for iss in (f"{cluster.issuer}/", "https://evil.example", None):
        browser = cluster.browser()
        location = browser.provider_answer()
        assert parse_qs(urlsplit(location).query)["iss"] == [cluster.issuer]
        before = cluster.counts()
        answer = browser.come_back(with_iss(location, iss))
        assert answer.status_code == 400
        assert "issuer_mismatch" in answer.text
        assert browser.cookie is None
        assert grants_since(cluster, before) == {}


def with_iss(location: str, iss: str | None) -> str:
    """*location* with another `iss`, or without one."""
    parts = urlsplit(location)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    del query["iss"]
    return urlunsplit(parts._replace(query=urlencode(query | ({"iss": iss} if iss else {}))))


def test_an_id_token_that_fails_a_check_lets_nobody_in_and_its_tokens_are_revoked() -> None:
    """The provider signs with RS256; this BFF takes nothing but ES256."""
    with InteropCluster(env={"BFF_ID_TOKEN_ALGORITHMS": "ES256"}) as cluster:
        browser = cluster.browser()
        answer = browser.come_back(browser.provider_answer())
        assert answer.status_code >= 400
        assert "id_token_invalid" in answer.text
        assert browser.cookie is None
        cluster.wait_until_outbox_is_empty()
        assert len(cluster.refresh_tokens()) == 1
        assert cluster.alive() == []


def test_without_consent_there_is_no_refresh_token_and_the_access_token_ends_the_session(
    cluster: InteropCluster,
) -> None:
    """The provider drops `offline_access` then (OpenID Connect Core, 11)."""
    browser, before = cluster.browser(), len(cluster.refresh_tokens())
    browser.log_in("/auth/login")
    assert browser.api("/items").status_code == 200
    assert len(cluster.refresh_tokens()) == before
    age_access_token(cluster, browser.cookie, 0)
    answer = browser.api("/items")
    assert (answer.status_code, answer.json()["code"]) == (401, "session_ended")


# ---------------------------------------------------------------- refresh
def test_refresh_rotates_the_token_several_times(cluster: InteropCluster) -> None:
    browser = cluster.browser()
    before = set(cluster.alive())
    browser.log_in()
    for number in range(5):
        (held,) = set(cluster.alive()) - before
        refresh_works(cluster, browser)
        (fresh,) = set(cluster.alive()) - before
        assert fresh != held, f"round {number}"


def test_promise_4_a_storm_at_a_dead_token_spends_one_refresh_token(
    cluster: InteropCluster,
) -> None:
    """Two refreshes with one token would revoke the whole grant there."""
    storm(cluster, seconds_left=0)


def test_promise_4_a_storm_just_before_the_end_spends_one_refresh_token(
    cluster: InteropCluster,
) -> None:
    storm(cluster, seconds_left=3)


def storm(cluster: InteropCluster, seconds_left: int) -> None:
    """200 requests at once over all replicas, again and again with one session."""
    browser = cluster.browser()
    browser.log_in()
    for number in range(rounds(full=50, reduced=8)):
        age_access_token(cluster, browser.cookie, seconds_left)
        before = cluster.counts()
        ports = cluster.ports
        answers = fire(
            [
                Shot(ports[i % len(ports)], "/api/items", browser.cookie or "")
                for i in range(REQUESTS)
            ]
        )
        statuses = Counter(answer.status for answer in answers)
        assert statuses == {200: REQUESTS}, f"round {number}: {statuses}"
        asked = grants_since(cluster, before)
        assert asked == {REFRESHED: 1}, f"round {number}: {asked}"
    assert browser.log_out().status_code == 200


# ---------------------------------------------------------------- a second sign-in
def test_a_second_sign_in_in_the_same_browser_keeps_its_tokens(cluster: InteropCluster) -> None:
    """Both hang on one grant there: revoking the old token would revoke the new one, too."""
    browser, others = cluster.browser(), set(cluster.alive())
    old_cookie = signed_in_twice(browser)
    mine = [one for one in cluster.refresh_tokens() if one["alive"] and one["token"] not in others]
    assert len({one["grant_id"] for one in mine}) == 1, "this test is about one grant"
    assert_old_is_dead_and_new_lives(cluster, browser, old_cookie)
    assert browser.log_out().status_code == 200
    cluster.wait_until_outbox_is_empty()
    assert set(cluster.alive()) <= others


def test_a_second_sign_in_with_a_grant_of_its_own_leaves_no_token_behind(
    cluster: InteropCluster,
) -> None:
    """The browser has lost its session at the provider, so the two have nothing in common."""
    browser, others = cluster.browser(), set(cluster.alive())
    old_cookie = signed_in_twice(browser, forget_provider=True)
    mine = [one for one in cluster.refresh_tokens() if one["alive"] and one["token"] not in others]
    assert len({one["grant_id"] for one in mine}) == 2
    assert_old_is_dead_and_new_lives(cluster, browser, old_cookie)
    assert browser.log_out().status_code == 200
    cluster.wait_until_outbox_is_empty()
    assert set(cluster.alive()) <= others


def test_a_forgotten_session_that_times_out_takes_none_along(cluster: InteropCluster) -> None:
    """Its cookies are lost, and both hang on one grant: its `sid` is that of the other."""
    browser, forgotten = cluster.browser(), cluster.browser()
    others = set(cluster.alive())
    forgotten.at_provider = browser.at_provider
    forgotten.log_in()
    browser.log_in()
    run_out(cluster, forgotten.cookie)
    name = f"{{{session_key(forgotten.cookie)}}}".encode()
    wait_for(lambda: not any(name in key for key in cluster.keys("session")), "the sweep")
    cluster.wait_until_outbox_is_empty()
    refresh_works(cluster, browser)
    assert browser.log_out().status_code == 200
    cluster.wait_until_outbox_is_empty()
    assert set(cluster.alive()) <= others


def test_another_person_in_the_same_browser_ends_the_first_session(
    cluster: InteropCluster,
) -> None:
    ada, others = cluster.browser("ada@example.com"), set(cluster.alive())
    ada.log_in()
    (held,) = set(cluster.alive()) - others
    bob = cluster.browser("bob@example.com")
    bob.here, ada_cookie = ada.here, ada.cookie
    bob.log_in()
    assert bob.profile().json()["user"]["sub"] == "bob@example.com"
    assert status_with(cluster, ada_cookie) == 401
    assert held not in cluster.alive()
    refresh_works(cluster, bob)


def signed_in_twice(browser: InteropBrowser, *, forget_provider: bool = False) -> str:
    """Sign in, and again; the first session's cookie."""
    browser.log_in()
    old_cookie = browser.cookie
    assert old_cookie
    if forget_provider:
        browser.at_provider.cookies.clear()
    browser.log_in(replica=1)
    assert browser.cookie != old_cookie
    return old_cookie


def assert_old_is_dead_and_new_lives(
    cluster: InteropCluster, browser: InteropBrowser, old_cookie: str
) -> None:
    assert status_with(cluster, old_cookie) == 401
    refresh_works(cluster, browser)
    refresh_works(cluster, browser)


def status_with(cluster: InteropCluster, cookie: str | None) -> int:
    """What an API call with *cookie* gets at every replica; they must agree."""
    statuses = {
        a.status for a in fire([Shot(p, "/api/items", cookie or "") for p in cluster.ports])
    }
    assert len(statuses) == 1
    return statuses.pop()
