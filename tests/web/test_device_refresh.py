"""A browser gets the next short-lived cookie for a fresh proof, and nobody else gets one."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import requests

from bff.core.device_binding import DeviceChallenges
from bff.core.sealing import Sealer
from tests.support.ageing import record_name, session_key
from tests.support.bound_browser import (
    BOUND,
    SESSION,
    BoundBrowser,
    bound_long_ago,
    over_https,
    run_out,
)
from tests.support.cluster import Cluster
from tests.support.device_key import DeviceKey

pytestmark = pytest.mark.session_cache


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with over_https(Cluster(replicas=2, env={"BFF_DEVICE_BINDING": "offer"})) as cluster:
        yield cluster


@pytest.fixture
def browser(cluster: Cluster) -> BoundBrowser:
    """Its session is bound, and not just now."""
    return bound(cluster)


def bound(cluster: Cluster) -> BoundBrowser:
    browser = BoundBrowser(cluster)
    browser.log_in()
    assert browser.register().status_code == 200
    bound_long_ago(cluster, browser)
    return browser


def code(response: requests.Response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


def new_challenge(cluster: Cluster, browser: BoundBrowser, *, age_seconds: int = 0) -> str:
    own = DeviceChallenges(Sealer([cluster.secret]).device_hashes, 600)
    now = cluster.store().time()[0] - age_seconds
    return own.new("refresh", session_key(browser.cookies[SESSION]), now)


# ---------------------------------------------------------------- what succeeds
def test_the_next_cookie_comes_for_a_proof_at_any_replica(
    cluster: Cluster, browser: BoundBrowser
) -> None:
    run_out(cluster, browser)
    assert code(browser.get("/api/items")) == (401, "device_unproven")
    for replica in (1, 0, 1):
        response = browser.refresh(replica=replica)
        assert (response.status_code, response.headers["Cache-Control"]) == (200, "no-store")
        assert response.json()["session_identifier"] == browser.session_id
        assert browser.get("/api/items", replica=1 - replica).status_code == 200


def test_a_browser_without_a_challenge_gets_one(browser: BoundBrowser) -> None:
    """As after a restart, which forgets the last one."""
    asked = browser.refresh(proof="")
    assert code(asked) == (403, "device_proof_invalid")
    assert "Set-Cookie" not in asked.headers
    assert browser.refresh(replica=1).status_code == 200


def test_an_old_challenge_is_replaced(cluster: Cluster, browser: BoundBrowser) -> None:
    old = new_challenge(cluster, browser, age_seconds=3600)
    assert code(browser.refresh(proof=browser.key.refresh(old))) == (403, "device_proof_invalid")
    assert browser.refresh().status_code == 200


def test_a_refresh_is_no_activity_of_the_user(cluster: Cluster, browser: BoundBrowser) -> None:
    name = record_name(cluster, browser.cookies[SESSION])
    cluster.store().hincrby(name, "last_seen_at", -3600)
    before = cluster.store().hget(name, "last_seen_at")
    assert browser.refresh().status_code == 200
    assert cluster.store().hget(name, "last_seen_at") == before


def test_the_draft_quotes_id_and_proof(browser: BoundBrowser) -> None:
    quoted = f'"{browser.key.refresh(browser.challenge)}"'
    response = browser.refresh(proof=quoted, Sec_Secure_Session_Id=f'"{browser.session_id}"')
    assert response.status_code == 200


# ---------------------------------------------------------------- what is refused
Proof = Callable[[Cluster, BoundBrowser], str]


def by_other_key(cluster: Cluster, browser: BoundBrowser) -> str:
    return DeviceKey().refresh(browser.challenge)


def by_other_key_that_it_brings(cluster: Cluster, browser: BoundBrowser) -> str:
    return DeviceKey().registration(browser.challenge, "")


def of_other_session(cluster: Cluster, browser: BoundBrowser) -> str:
    return browser.key.refresh(new_challenge(cluster, bound(cluster)))


def of_the_registration(cluster: Cluster, browser: BoundBrowser) -> str:
    return browser.key.refresh(browser.offer["challenge"])


def from_the_future(cluster: Cluster, browser: BoundBrowser) -> str:
    return browser.key.refresh(new_challenge(cluster, browser, age_seconds=-60))


def made_up(cluster: Cluster, browser: BoundBrowser) -> str:
    return browser.key.refresh("1800000000.AAAAAAAAAAAAAAAAAAAAAA." + "0" * 64)


def unsigned(cluster: Cluster, browser: BoundBrowser) -> str:
    return browser.key.refresh(browser.challenge).rpartition(".")[0] + "."


def twice(cluster: Cluster, browser: BoundBrowser) -> str:
    proof = browser.key.refresh(browser.challenge)
    assert browser.refresh(replica=1, proof=proof).status_code == 200
    return proof


PROOFS: list[Proof] = [
    by_other_key, by_other_key_that_it_brings, of_other_session, of_the_registration,
    from_the_future, made_up, unsigned, twice,
]  # fmt: skip


@pytest.mark.parametrize("forged", PROOFS)
def test_a_wrong_proof_gets_a_challenge_and_no_cookie(
    cluster: Cluster, browser: BoundBrowser, forged: Proof
) -> None:
    proof, before = forged(cluster, browser), browser.challenge
    refused = browser.refresh(proof=proof)
    assert code(refused) == (403, "device_proof_invalid")
    assert "Set-Cookie" not in refused.headers
    # And the right browser goes on.
    assert browser.challenge != before or forged is unsigned
    assert browser.refresh(replica=1).status_code == 200


def test_a_copied_cookie_gets_challenges_only(cluster: Cluster, browser: BoundBrowser) -> None:
    """The thief even knows the id, as no cookie tells it."""
    thief = browser.copy()
    thief.session_id = browser.session_id
    run_out(cluster, thief)
    for _ in range(3):
        assert thief.refresh(replica=1).status_code == 403
        assert code(thief.get("/api/items")) == (401, "device_unproven")
    assert browser.get("/api/items").status_code == 200
    assert browser.refresh().status_code == 200


def test_a_copied_pair_works_until_its_end_and_the_owner_notices_nothing(
    cluster: Cluster, browser: BoundBrowser
) -> None:
    thief = browser.copy()
    assert [thief.get("/api/items", replica=n).status_code for n in (0, 1)] == [200, 200]
    run_out(cluster, thief)
    for replica in (0, 1):
        assert code(thief.get("/api/items", replica=replica)) == (401, "device_unproven")
        run_out(cluster, thief)
        assert browser.get("/api/items", replica=replica).status_code == 200
    assert browser.refresh().status_code == 200


def test_a_cookie_of_another_session_is_none(cluster: Cluster, browser: BoundBrowser) -> None:
    other = bound(cluster)
    browser.cookies[BOUND] = other.cookies[BOUND]
    assert code(browser.get("/auth/profile")) == (401, "device_unproven")
    # It is deleted: while a browser has one, it asks for no other.
    assert BOUND not in browser.cookies
    assert browser.refresh().status_code == 200
    assert browser.get("/auth/profile").status_code == 200


def test_what_is_refused_keeps_no_session_alive(cluster: Cluster, browser: BoundBrowser) -> None:
    name = record_name(cluster, browser.cookies[SESSION])
    for field in ("last_seen_at", "idle_ends_at"):
        cluster.store().hincrby(name, field, -3600)
    cluster.wait_for_caches()
    before = cluster.store().hmget(name, "last_seen_at", "idle_ends_at")
    del browser.cookies[BOUND]
    for replica in (0, 1, 0, 1):
        assert browser.get("/api/items", replica=replica).status_code == 401
    assert cluster.store().hmget(name, "last_seen_at", "idle_ends_at") == before


# ---------------------------------------------------------------- the end of a binding
def test_another_id_than_the_session_s_ends_in_the_browser(
    cluster: Cluster, browser: BoundBrowser
) -> None:
    foreign = bound(cluster).session_id
    for asked in (foreign, "x", "0" * 32):
        response = browser.refresh(Sec_Secure_Session_Id=asked)
        assert response.json() == {"session_identifier": asked, "continue": False}
        assert "Set-Cookie" not in response.headers
    assert browser.refresh().status_code == 200


@pytest.mark.parametrize("session_id", ["", "a b", "x" * 129, "<script>", "\u00fc", '"', '"a"b"'])
def test_an_id_that_can_be_none_is_refused(browser: BoundBrowser, session_id: str) -> None:
    refused = browser.refresh(Sec_Secure_Session_Id=session_id.encode())
    assert code(refused) == (403, "device_proof_invalid")
    assert "Secure-Session-Challenge" not in refused.headers


def test_a_logout_wins_over_a_refresh(cluster: Cluster, browser: BoundBrowser) -> None:
    """Whichever comes first; the browser may still have its cookies when it asks."""
    late, key = browser.copy(), session_key(browser.cookies[SESSION])
    late.key, late.challenge, late.session_id = browser.key, browser.challenge, browser.session_id
    assert browser.request("POST", "/auth/logout", X_CSRF="1").status_code == 200
    for cookies in (dict(late.cookies), {SESSION: late.cookies[SESSION]}, {}):
        late.cookies = cookies
        response = late.refresh(replica=1)
        assert response.json() == {"session_identifier": late.session_id, "continue": False}
        assert "Set-Cookie" not in response.headers
    assert cluster.store().exists(f"{cluster.prefix}:session:{{{key}}}") == 0


def test_an_unbound_session_has_nothing_to_refresh(cluster: Cluster) -> None:
    browser = BoundBrowser(cluster)
    browser.log_in()
    browser.session_id, browser.challenge = "0" * 32, "x"
    assert browser.refresh().json()["continue"] is False
    assert browser.get("/api/items").status_code == 200


# ---------------------------------------------------------------- what is no fault of the browser
@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_site_can_end_no_binding(browser: BoundBrowser, site: str) -> None:
    """Such a request lacks the session's cookie, which says nothing about the session."""
    response = browser.device(
        "refresh", strict=False, Sec_Fetch_Site=site, Sec_Secure_Session_Id=browser.session_id
    )
    assert code(response) == (503, "device_check_unavailable")
    assert browser.refresh().status_code == 200


def test_a_foreign_cookie_that_hides_all_others_ends_no_binding(browser: BoundBrowser) -> None:
    own, browser.cookies = browser.cookies, {"theme": "gr\u00fcn"}
    hidden = browser.refresh(proof="")
    browser.cookies = own
    assert code(hidden) == (503, "device_check_unavailable")
    assert browser.refresh().status_code == 200


@pytest.mark.parametrize(
    ("skipped", "expected"),
    [
        ('server_error;session_identifier="{id}"', (503, "device_check_unavailable")),
        ('unreachable;session_identifier="{id}"', (503, "device_check_unavailable")),
        ('quota_exceeded;session_identifier="x", server_error; session_identifier="{id}"',
         (503, "device_check_unavailable")),
        ('quota_exceeded;session_identifier="{id}"', (401, "device_unproven")),
        ('something_new;session_identifier="{id}"', (401, "device_unproven")),
        # Whoever has copied the cookies doesn't know the id.
        ("server_error", (401, "device_unproven")),
        ('server_error;session_identifier="x"', (401, "device_unproven")),
        ('server_error;session_identifier="{id}" ;', (401, "device_unproven")),
    ],
)  # fmt: skip
def test_a_browser_that_could_not_refresh_says_so(
    browser: BoundBrowser, skipped: str, expected: tuple[int, str]
) -> None:
    del browser.cookies[BOUND]
    field = skipped.replace("{id}", browser.session_id)
    response = browser.get("/api/items", Secure_Session_Skipped=field)
    assert code(response) == expected
    assert (response.headers.get("Retry-After") is not None) == (expected[0] == 503)
    assert browser.refresh().status_code == 200


def test_an_outage_of_redis_ends_no_binding(cluster: Cluster) -> None:
    browser = bound(cluster)
    new = BoundBrowser(cluster)
    new.log_in()
    cluster.redis.pause()
    try:
        responses = browser.refresh(), browser.refresh(proof=""), new.register()
    finally:
        cluster.redis.resume()
    assert [code(one) for one in responses] == [(503, "store_unavailable")] * 3
    # The challenge wasn't used up, or the browser gets the next one.
    assert browser.refresh().status_code in (200, 403)
    assert browser.refresh(replica=1).status_code == 200
    assert new.register().status_code == 200


# ---------------------------------------------------------------- secrets and modes
def test_a_rotation_of_the_secret_ends_no_binding() -> None:
    with over_https(Cluster(replicas=2, env={"BFF_DEVICE_BINDING": "offer"})) as cluster:
        browser = bound(cluster)
        cluster.replicas[1].stop()
        both = f"{'n' * 40},{cluster.secret}"
        cluster.start_replica(cluster.ports[1], AUTH0_SECRET=both)
        assert browser.get("/auth/profile", replica=1).status_code == 200
        first = browser.key.refresh(browser.challenge)
        assert browser.refresh(replica=1, proof=first).status_code == 200
        # Used at one replica is used at the other, too, whichever secrets it has.
        assert browser.refresh(replica=0, proof=first).status_code == 403
        old = browser.key.refresh(browser.challenge)
        assert browser.refresh(replica=0, proof=old).status_code == 200
        assert browser.refresh(replica=1, proof=old).status_code == 403
        assert browser.session_id == browser.refresh(replica=1).json()["session_identifier"]
        assert browser.get("/auth/profile", replica=1).status_code == 200


def test_required_an_unbound_session_is_over_after_a_minute() -> None:
    with over_https(Cluster(replicas=2, env={"BFF_DEVICE_BINDING": "require"})) as cluster:
        old, new = BoundBrowser(cluster), bound(cluster)
        old.log_in()
        assert old.get("/api/items").status_code == 200
        for browser in (old, new):
            name = record_name(cluster, browser.cookies[SESSION])
            cluster.store().hincrby(name, "created_at", -61)
        cluster.wait_for_caches()
        for replica in (0, 1):
            refused = old.get("/api/items", replica=replica)
            assert code(refused) == (401, "device_unbound")
            assert refused.json()["login_url"] == "/auth/login"
            assert new.get("/api/items", replica=replica).status_code == 200


def test_off_nothing_is_offered_and_nothing_is_checked(cluster: Cluster) -> None:
    """Also at a replica that was not given the setting yet."""
    browser = bound(cluster)
    del browser.cookies[BOUND]
    cluster.replicas[1].stop()
    cluster.start_replica(cluster.ports[1], BFF_DEVICE_BINDING="off")
    new = BoundBrowser(cluster)
    callback = new.log_in(replica=1)
    assert not [one for one in callback.headers if one.lower().startswith("secure-session")]
    assert browser.get("/api/items", replica=1).status_code == 200
    assert code(browser.refresh(replica=1)) == (404, "not_found")
    assert browser.get("/api/items", replica=0).status_code == 401
