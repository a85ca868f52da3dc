"""Do two versions side by side, as in a rolling deployment, act as one?

Every test runs in both directions: what happens at a replica of one version has an effect at a
replica of the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ageing import age_access_token, stored_tokens
from tests.support.api_callers import WAYS, at_the_api
from tests.support.browser_client import BrowserClient
from tests.support.cluster import ROOT
from tests.support.scale import CACHE
from tests.support.storm import Shot, fire
from tests.upgrade.in_place.installation import (
    PATHS,
    TwoVersions,
    assert_sent_back_to_authenticate,
    subject_of,
)

REQUESTS = 60

one_then_other = pytest.mark.parametrize(
    ("here", "there"), [(0, 1), (1, 0)], ids=["earlier then this", "this then earlier"]
)


@pytest.fixture(scope="module", params=list(CACHE))
def installation(
    request: pytest.FixtureRequest, earlier: Path, session_cache: str
) -> Iterator[TwoVersions]:
    """A replica of the earlier version and one of this, with the session cache and without."""
    lease = CACHE[request.param]
    with TwoVersions([earlier, ROOT], lease_milliseconds=lease) as running:
        yield running


def signed_in(installation: TwoVersions, user: str, replica: int) -> BrowserClient:
    """A browser that signed in at *replica* and whose session both replicas have loaded."""
    browser = installation.browser_of(user)
    browser.log_in(replica=replica)
    for asked in (0, 1, 0, 1):
        assert browser.profile(replica=asked).status_code == 200
    return browser


@one_then_other
def test_a_session_ended_here_is_refused_there_at_once(
    installation: TwoVersions, here: int, there: int
) -> None:
    browser = signed_in(installation, "anna", there)
    cookie, token = browser.cookie or "", stored_tokens(installation, browser.cookie).access_token
    assert [way(installation, token) for way in WAYS] == [200] * len(WAYS)
    assert browser.log_out(replica=here).status_code == 200
    browser.here.cookies.set("session", cookie)
    assert browser.profile(replica=there).status_code == 401
    assert browser.api("/items", replica=there).status_code == 401
    assert at_the_api(installation, token) == 401
    assert [way(installation, token, there) for way in WAYS[1:]] == [401, 401]


@one_then_other
def test_all_sessions_of_a_user_ended_here_are_refused_there_at_once(
    installation: TwoVersions, here: int, there: int
) -> None:
    browsers = [signed_in(installation, "ben", replica) for replica in (here, there)]
    begun = installation.at_provider(browsers[0], "ben", replica=there)
    assert installation.end_all("ben", replica=here) == len(browsers)
    assert [browser.profile(replica=there).status_code for browser in browsers] == [401, 401]
    # A sign-in that was begun before the end, and the provider's session from before.
    assert_sent_back_to_authenticate(browsers[0].come_back(begun, replica=there))
    again = installation.at_provider(browsers[1], "ben", replica=there)
    assert_sent_back_to_authenticate(browsers[1].come_back(again, replica=there))


@one_then_other
def test_what_the_provider_did_not_revoke_for_one_the_other_has_revoked(
    installation: TwoVersions, here: int, there: int
) -> None:
    browser = signed_in(installation, "cleo", here)
    refresh_token = stored_tokens(installation, browser.cookie).refresh_token or ""
    installation.let_revocations_fail()
    assert browser.log_out(replica=here).status_code == 200
    assert installation.keys("{outbox}:entry")
    with installation.without(here):
        assert installation.state_of(refresh_token) == "active"
        installation.let_revocations_work()
        installation.wait_for_empty_outbox()
        assert installation.state_of(refresh_token) == "revoked"


@one_then_other
def test_a_sign_in_here_is_a_session_there(
    installation: TwoVersions, here: int, there: int
) -> None:
    browser = installation.browser_of("dan")
    browser.log_in(replica=here)
    assert browser.profile(replica=there).json()["user"]["sub"] == subject_of("dan")
    assert [browser.fetch("GET", path, replica=there).status_code for path in PATHS] == [200] * 4
    before = installation.counts().get("token", 0)
    # One uses the tokens that the other has got for the routes.
    assert [browser.fetch("GET", path, replica=here).status_code for path in PATHS] == [200] * 4
    assert installation.counts().get("token", 0) == before


@one_then_other
def test_a_sign_in_begun_here_is_finished_there(
    installation: TwoVersions, here: int, there: int
) -> None:
    browser = installation.browser_of("eva")
    location = installation.at_provider(browser, "eva", replica=here)
    assert browser.come_back(location, replica=there).status_code == 303
    assert browser.profile(replica=here).status_code == 200


@one_then_other
def test_a_refresh_here_is_seen_there(installation: TwoVersions, here: int, there: int) -> None:
    browser = signed_in(installation, "finn", here)
    age_access_token(installation, browser.cookie, 0)
    before = installation.counts()
    assert browser.api("/items", replica=here).status_code == 200
    assert browser.api("/items", replica=there).status_code == 200
    assert_refreshed_once(installation, before)


@one_then_other
def test_a_refresh_token_is_spent_once_by_both(
    installation: TwoVersions, here: int, there: int
) -> None:
    browser = signed_in(installation, "finn", here)
    age_access_token(installation, browser.cookie, 0)
    before = installation.counts()
    ports = (installation.ports[here], installation.ports[there])
    shots = [Shot(ports[i % 2], "/api/items", browser.cookie or "") for i in range(REQUESTS)]
    assert Counter(response.status for response in fire(shots)) == {200: REQUESTS}
    assert_refreshed_once(installation, before)


def assert_refreshed_once(installation: TwoVersions, before: dict[str, int]) -> None:
    asked = Counter(installation.counts()) - Counter(before)
    assert asked["token.refresh_token.ok"] == 1, asked
    assert asked["token.reuse_detected"] == 0, asked
    assert asked["token"] == 1, asked
