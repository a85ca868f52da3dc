"""Does an installation keep every promise when its version changes, up and back again?

One version runs, users sign in and sessions end in every way; then it is stopped, and the other
version is started over the same Redis.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.support.ageing import age_access_token, stored_tokens
from tests.support.api_callers import WAYS, at_the_api
from tests.support.browser_client import BrowserClient
from tests.support.cluster import ROOT
from tests.support.waiting import wait_for
from tests.upgrade.in_place.installation import (
    PATHS,
    TwoVersions,
    assert_sent_back_to_authenticate,
    subject_of,
)


@dataclass
class Left:
    """What one version left behind when it was stopped."""

    installation: TwoVersions
    now: Path
    """The source tree of the version that runs now."""
    anna: BrowserClient
    """Signed in, with a token for each route."""
    device_id: str
    ben: BrowserClient
    """Signed out; his session cookie is back in the browser."""
    copied_token: str
    """His access token."""
    logout_state: str
    """The `state` of his logout at the provider."""
    cleo: BrowserClient
    """Her sessions were ended by an administrator while she signed in."""
    callback: str
    """The callback of a sign-in from before that."""
    dan: BrowserClient
    """Signed out while the provider refused to revoke."""
    refresh_token: str
    """His."""
    eva: BrowserClient
    """Signed in at the provider, before the callback."""
    arrival: str
    finn: BrowserClient
    """Signed in; the provider will end his session."""
    api_of_earlier_version: str


@pytest.fixture(scope="module", params=["upgrade", "back again"])
def left(request: pytest.FixtureRequest, earlier: Path, session_cache: str) -> Iterator[Left]:
    """The version under test runs, on what the other one left."""
    with TwoVersions([earlier]) as installation:
        left_behind = leave(installation, earlier)
        installation.switch_to(ROOT)
        left_behind.now = ROOT
        if request.param == "back again":
            left_behind = leave(installation, earlier)
            installation.switch_to(earlier)
            left_behind.now = earlier
        yield left_behind


def leave(installation: TwoVersions, earlier: Path) -> Left:
    """Sign users in and end sessions at the running version."""
    installation.let_revocations_work()
    anna, ben, cleo, dan, eva, finn = (
        installation.browser_of(user) for user in ("anna", "ben", "cleo", "dan", "eva", "finn")
    )
    for browser in (anna, ben, cleo, dan, finn):
        browser.log_in()
        assert browser.profile().status_code == 200
    for path in PATHS:
        assert anna.fetch("GET", path).status_code == 200
    device_id = current_device(anna)

    api_of_earlier_version = installation.start_api_of(earlier)
    copied_token = stored_tokens(installation, ben.cookie).access_token
    cookie = ben.cookie or ""
    assert at_the_api(installation, copied_token) == 200
    signed_out = ben.fetch("POST", "/auth/logout?returnTo=/bye", headers={"X-CSRF": "1"})
    assert signed_out.status_code == 200
    ben.here.cookies.set("session", cookie)
    query = parse_qs(urlsplit(signed_out.json()["logout_url"]).query)

    callback = installation.at_provider(cleo, "cleo")
    assert installation.end_all("cleo") >= 1
    arrival = installation.at_provider(eva, "eva")

    installation.wait_for_empty_outbox()
    installation.let_revocations_fail()
    refresh_token = stored_tokens(installation, dan.cookie).refresh_token or ""
    assert dan.log_out().status_code == 200
    return Left(
        installation, earlier, anna, device_id, ben, copied_token, query["state"][0], cleo,
        callback, dan, refresh_token, eva, arrival, finn, api_of_earlier_version,
    )  # fmt: skip


def current_device(browser: BrowserClient) -> str:
    """The id that the list of devices gives the browser's own session."""
    devices = browser.fetch("GET", "/auth/sessions").json()["sessions"]
    return str(next(one["id"] for one in devices if one["current"]))


# ------------------------------------------------------------------ what has ended stays so


def test_an_ended_session_stays_ended(left: Left) -> None:
    assert left.ben.profile().status_code == 401
    assert left.cleo.profile().status_code == 401


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_a_copied_access_token_of_an_ended_session_is_refused(left: Left, way: object) -> None:
    assert callable(way)
    assert way(left.installation, left.copied_token) == 401


def test_an_api_with_the_earlier_token_guard_refuses_it_too(left: Left) -> None:
    valid_token = stored_tokens(left.installation, left.anna.cookie).access_token
    left.installation.api_url, now = left.api_of_earlier_version, left.installation.api_url
    try:
        assert at_the_api(left.installation, left.copied_token) == 401
        assert at_the_api(left.installation, valid_token) == 200
    finally:
        left.installation.api_url = now


def test_a_sign_in_from_before_the_end_of_all_sessions_is_refused(left: Left) -> None:
    assert_sent_back_to_authenticate(left.cleo.come_back(left.callback))
    # The provider's session from before gives no access either.
    again = left.installation.at_provider(left.cleo, "cleo")
    assert_sent_back_to_authenticate(left.cleo.come_back(again))
    assert left.cleo.profile().status_code == 401


def test_a_refresh_token_that_waits_in_the_outbox_is_revoked(left: Left) -> None:
    installation = left.installation
    assert installation.state_of(left.refresh_token) == "active"
    # Those of the refused sign-ins may wait there, too.
    reasons = [entry["reason"] for entry in installation.revocations(left.now)]
    assert reasons.count("logout") == 1
    installation.let_revocations_work()
    installation.wait_for_empty_outbox()
    assert installation.state_of(left.refresh_token) == "revoked"
    assert installation.revocations(left.now) == []


# ------------------------------------------------------------------ what is valid stays so


def test_a_session_lives_on_with_its_tokens(left: Left) -> None:
    """No token is requested again, so every stored one was found."""
    before = left.installation.counts().get("token", 0)
    assert left.anna.profile().status_code == 200
    assert [left.anna.fetch("GET", path).status_code for path in PATHS] == [200] * len(PATHS)
    assert left.installation.counts().get("token", 0) == before


def test_a_device_is_called_as_before(left: Left) -> None:
    assert current_device(left.anna) == left.device_id


def test_a_session_is_refreshed_with_the_refresh_token_that_it_has(left: Left) -> None:
    installation = left.installation
    spent = stored_tokens(installation, left.anna.cookie).refresh_token or ""
    age_access_token(installation, left.anna.cookie, 0)
    assert left.anna.api("/items").status_code == 200
    assert installation.state_of(spent) == "rotated"
    assert installation.counts().get("token.reuse_detected", 0) == 0


def test_a_sign_in_that_was_begun_is_finished(left: Left) -> None:
    assert left.eva.come_back(left.arrival).status_code == 303
    assert left.eva.profile().json()["user"]["sub"] == subject_of("eva")
    assert left.eva.api("/items").status_code == 200


def test_a_logout_that_was_begun_leads_back_to_where_it_was_to(left: Left) -> None:
    response = left.ben.navigate(f"/auth/logged-out?state={left.logout_state}")
    assert (response.status_code, response.headers["Location"]) == (303, "/bye")


def test_a_session_ends_when_the_provider_says_so(left: Left) -> None:
    assert left.finn.profile().status_code == 200
    left.installation.control("POST", f"users/{subject_of('finn')}/end-sessions")
    wait_for(lambda: left.finn.profile().status_code == 401, "the end of the session")


def test_a_session_ends_at_a_logout_with_every_token(left: Left) -> None:
    """The last test, since it ends the session that others use."""
    installation = left.installation
    installation.let_revocations_work()
    tokens = stored_tokens(installation, left.anna.cookie)
    cookie = left.anna.cookie or ""
    assert left.anna.log_out().status_code == 200
    left.anna.here.cookies.set("session", cookie)
    assert left.anna.profile().status_code == 401
    assert at_the_api(installation, tokens.access_token) == 401
    installation.wait_for_empty_outbox()
    assert installation.state_of(tokens.refresh_token or "") == "revoked"
