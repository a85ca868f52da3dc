"""A browser binds its session to a key of its own at the sign-in, once, and at no other time."""

from __future__ import annotations

import json
from collections.abc import Iterator

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
)
from tests.support.cluster import Cluster

pytestmark = pytest.mark.session_cache


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with over_https(Cluster(replicas=2, env={"BFF_DEVICE_BINDING": "offer"})) as cluster:
        yield cluster


@pytest.fixture
def browser(cluster: Cluster) -> BoundBrowser:
    """Signed in, and offered a binding."""
    browser = BoundBrowser(cluster)
    browser.log_in()
    return browser


def code(response: requests.Response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


def challenge(cluster: Cluster, purpose: str, key: str, at: float) -> str:
    """One of the BFF's own, as no browser was given it."""
    own = DeviceChallenges(Sealer([cluster.secret]).device_hashes, 600)
    return own.new(purpose, key, at)  # type: ignore[arg-type]


def test_the_response_to_a_sign_in_offers_it_and_no_other(cluster: Cluster) -> None:
    browser = BoundBrowser(cluster)
    callback = browser.log_in()
    field = callback.headers["Secure-Session-Registration"]
    assert field.startswith('(ES256);path="/auth/device/register";challenge="')
    assert set(browser.offer) == {"path", "challenge", "authorization"}
    assert browser.cookies[SESSION] not in field
    for path in ("/", "/auth/profile", "/auth/sessions", "/api/items", "/auth/login", "/auth/x"):
        for replica in (0, 1):
            headers = browser.get(path, replica=replica).headers
            assert not [name for name in headers if name.lower().startswith("secure-session")], path


def test_a_registration_gets_the_first_cookie_and_says_what_is_bound(
    browser: BoundBrowser,
) -> None:
    response = browser.register(replica=1)
    assert (response.status_code, response.headers["Cache-Control"]) == (200, "no-store")
    [cookie] = response.raw.headers.getlist("Set-Cookie")
    value, _, attributes = cookie.partition("; ")
    assert value.startswith(f"{BOUND}=")
    # Werkzeug writes `Expires` beside `Max-Age`, which browsers prefer.
    given = {one for one in attributes.split("; ") if not one.startswith("Expires=")}
    assert given == {"HttpOnly", "Max-Age=600", "Path=/", "SameSite=Strict", "Secure"}
    told = response.json()
    rules = told.pop("scope")
    assert rules["include_site"] is False
    assert [(one["type"], one["path"]) for one in rules["scope_specification"]] == [
        ("exclude", "/"), ("exclude", "/auth"), ("include", "/auth/profile"),
        ("include", "/auth/sessions"), ("include", "/api"),
    ]  # fmt: skip
    assert told == {
        "session_identifier": browser.session_id,
        "refresh_url": "/auth/device/refresh",
        "credentials": [{
            "type": "cookie", "name": BOUND,
            "attributes": "Path=/; Secure; HttpOnly; SameSite=Strict",
        }],
    }  # fmt: skip
    assert browser.challenge


def test_each_session_has_an_id_of_its_own(browser: BoundBrowser) -> None:
    browser.register()
    first = browser.session_id
    browser.log_in()
    browser.register()
    assert browser.session_id != first


def test_a_bound_session_needs_its_cookie_at_every_replica(
    cluster: Cluster, browser: BoundBrowser
) -> None:
    browser.register()
    bound_long_ago(cluster, browser)
    copied = browser.copy()
    del copied.cookies[BOUND]
    for replica in (0, 1, 0, 1):
        for path in ("/auth/profile", "/auth/sessions", "/api/items"):
            assert browser.get(path, replica=replica).status_code == 200
            refused = copied.get(path, replica=replica)
            assert code(refused) == (401, "device_unproven")
            assert refused.json()["login_url"] == "/auth/login"
    assert browser.get("/api/items").status_code == 200


def test_requests_under_way_while_the_key_was_made_succeed(browser: BoundBrowser) -> None:
    browser.register()
    late = browser.copy()
    del late.cookies[BOUND]
    assert late.get("/api/items", replica=1).status_code == 200


def test_a_browser_that_cannot_goes_on_as_ever(cluster: Cluster, browser: BoundBrowser) -> None:
    assert browser.get("/api/items").status_code == 200
    cluster.store().hincrby(record_name(cluster, browser.cookies[SESSION]), "created_at", -3600)
    cluster.wait_for_caches()
    assert browser.get("/api/items").status_code == 200
    [device] = [d for d in browser.get("/auth/sessions").json()["sessions"] if d["current"]]
    assert device["bound"] is False


def bound_key(browser: BoundBrowser) -> str:
    return session_key(browser.cookies[SESSION])


def test_my_devices_say_which_are_bound(browser: BoundBrowser) -> None:
    browser.register()
    [device] = [d for d in browser.get("/auth/sessions").json()["sessions"] if d["current"]]
    assert device["bound"] is True


# ---------------------------------------------------------------- what is refused
def test_a_registration_works_once(cluster: Cluster, browser: BoundBrowser) -> None:
    assert browser.register().status_code == 200
    again = browser.register(replica=1)
    assert code(again) == (403, "device_proof_invalid")
    assert "Set-Cookie" not in again.headers
    # Nor with another key.
    thief = browser.copy()
    thief.offer = browser.offer
    assert code(thief.register()) == (403, "device_proof_invalid")
    bound_long_ago(cluster, browser)
    assert browser.get("/auth/profile").status_code == 200
    assert browser.refresh().status_code == 200


def test_a_copied_cookie_registers_no_key(cluster: Cluster, browser: BoundBrowser) -> None:
    """It would need what only the response to the sign-in had."""
    thief, own = browser.copy(), BoundBrowser(cluster)
    own.log_in()
    # With the offer of the thief's own sign-in, the thief binds the thief's own session.
    thief.offer = own.offer
    answer = thief.register()
    assert answer.status_code == 200
    [device] = [d for d in browser.get("/auth/sessions").json()["sessions"] if d["current"]]
    assert device["bound"] is False
    assert browser.register().status_code == 200


def test_challenge_and_authorization_belong_to_one_session(
    cluster: Cluster, browser: BoundBrowser
) -> None:
    other = BoundBrowser(cluster)
    other.log_in()
    crossed = browser.register(challenge=other.offer["challenge"])
    assert code(crossed) == (403, "device_proof_invalid")
    crossed = browser.register(authorization=other.offer["authorization"])
    assert code(crossed) == (403, "device_proof_invalid")
    assert browser.register().status_code == 200
    assert other.register().status_code == 200


@pytest.mark.parametrize("forged", ["", "x", "A" * 200, "cookie", "truncated", "\u00fc"])
def test_a_forged_authorization_is_refused(browser: BoundBrowser, forged: str) -> None:
    sealed = browser.offer["authorization"]
    given = {"cookie": browser.cookies[SESSION], "truncated": sealed[:-1]}.get(forged, forged)
    response = browser.register(authorization=given)
    assert response.json()["code"] in ("device_proof_invalid", "seal_key_unknown")
    assert "Set-Cookie" not in response.headers


def test_a_challenge_of_a_refresh_registers_nothing(
    cluster: Cluster, browser: BoundBrowser
) -> None:
    at = cluster.store().time()[0]
    refresh = challenge(cluster, "refresh", bound_key(browser), at)
    assert code(browser.register(challenge=refresh)) == (403, "device_proof_invalid")
    old = challenge(cluster, "register", bound_key(browser), at - 3600)
    assert code(browser.register(challenge=old)) == (403, "device_proof_invalid")


def test_without_a_proof_or_a_key_nothing_is_registered(browser: BoundBrowser) -> None:
    for proof in ("", "x", browser.key.refresh(browser.offer["challenge"])):
        response = browser.device("register", proof=proof)
        assert code(response) == (403, "device_proof_invalid")


def test_a_logout_wins_over_a_registration(cluster: Cluster, browser: BoundBrowser) -> None:
    """The session stays ended, whatever the browser has signed meanwhile."""
    cookie, key = browser.cookies[SESSION], bound_key(browser)
    logout = browser.request("POST", "/auth/logout", X_CSRF="1")
    assert logout.status_code == 200
    late = browser.register(replica=1)
    assert code(late) == (401, "session_ended")
    assert "Set-Cookie" not in late.headers
    assert cluster.store().exists(f"{cluster.prefix}:session:{{{key}}}") == 0
    browser.cookies[SESSION] = cookie
    for replica in (0, 1):
        assert code(browser.get("/auth/profile", replica=replica)) == (401, "session_ended")


def test_a_logout_deletes_both_cookies_and_needs_neither_proof(
    cluster: Cluster, browser: BoundBrowser
) -> None:
    browser.register()
    bound_long_ago(cluster, browser)
    copied = browser.copy()
    del copied.cookies[BOUND]
    # Whoever has the cookie may end the session, but not use it.
    assert copied.request("POST", "/auth/logout", X_CSRF="1").status_code == 200
    assert code(browser.get("/auth/profile")) == (401, "session_ended")
    browser.request("POST", "/auth/logout", X_CSRF="1")
    assert not {SESSION, BOUND} & browser.cookies.keys()


def test_a_logout_by_a_copied_cookie_does_not_tell_who_the_user_is() -> None:
    env = {"BFF_DEVICE_BINDING": "offer", "BFF_LOGOUT_ID_TOKEN_HINT": "true"}
    with over_https(Cluster(env=env)) as cluster:
        owner = BoundBrowser(cluster)
        for has_cookie in (True, False):
            owner.log_in()
            told = owner.register().json()["scope"]["scope_specification"]
            assert told[-1] == {"type": "include", "domain": "*", "path": "/auth/logout"}
            bound_long_ago(cluster, owner)
            if not has_cookie:
                del owner.cookies[BOUND]
            response = owner.request("POST", "/auth/logout", X_CSRF="1")
            assert response.status_code == 200
            assert ("id_token_hint=" in response.json()["logout_url"]) == has_cookie


def test_a_step_up_begins_a_session_that_is_bound_anew(
    cluster: Cluster, browser: BoundBrowser
) -> None:
    browser.register()
    old_id, old = browser.session_id, browser.copy()
    browser.at_provider.cookies.clear()
    browser.log_in("/auth/login?max_age=0")
    assert browser.register(replica=1).status_code == 200
    bound_long_ago(cluster, browser)
    assert browser.get("/api/items").status_code == 200
    assert code(old.get("/api/items")) == (401, "session_ended")
    # The old binding, which the browser still has, ends by itself and takes nothing with it.
    late = browser.refresh(Sec_Secure_Session_Id=old_id)
    assert late.json() == {"session_identifier": old_id, "continue": False}
    assert "Set-Cookie" not in late.headers
    assert browser.get("/api/items").status_code == 200


def test_the_audit_log_tells_of_it(cluster: Cluster) -> None:
    browser = BoundBrowser(cluster)
    browser.log_in()
    browser.register()
    key = bound_long_ago(cluster, browser)
    thief = browser.copy()
    del thief.cookies[BOUND]
    thief.get("/api/items")
    thief.cookies[BOUND] = "1.2"
    thief.get("/api/items")
    browser.register()
    lines = audit_lines(cluster, key)
    assert [(line["event"], line["outcome"], line["reason"]) for line in lines] == [
        ("device_bound", "ok", ""),
        ("device_refused", "refused", "no_cookie"),
        ("device_refused", "refused", "foreign"),
        ("device_refused", "refused", "registration_repeated"),
    ]
    assert all(line["user"] for line in lines)


def audit_lines(cluster: Cluster, key: str) -> list[dict[str, str]]:
    """What the first replica has written of devices and this session."""
    lines = [line for line in cluster.replicas[0].output.splitlines() if '"device_' in line]
    found = [json.loads(line[line.index("{") :]) for line in lines]
    return [line for line in found if line["session"] and key.startswith(line["session"])]
