"""Promise 2: a logout ends every session of the browser, however its sign-ins overlapped.

The cookie of a session is `SameSite=Strict`, so it comes neither with a link of another site nor
from the provider. Each way here could leave a session that no logout reached.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.support.browser_client import NAVIGATION, TIMEOUT_SECONDS
from tests.support.cluster import EMAIL, PASSWORD, Cluster
from tests.support.provider_form import sign_in_at_provider
from tests.support.scale import rounds
from tests.support.waiting import wait_for

pytestmark = pytest.mark.session_cache

REPLICAS = 3
TABS = 10
OTHER_EMAIL = "eve@example.com"
USERS = [
    {"sub": f"auth0|{email}", "name": email, "email": email, "password": PASSWORD}
    for email in (EMAIL, OTHER_EMAIL)
]
SILENT = "/auth/login?prompt=none&returnTo=/inbox"


@pytest.fixture(scope="module")
def cluster(session_cache: str) -> Iterator[Cluster]:
    with Cluster(REPLICAS, provider={"users": USERS}) as started:
        yield started


class User:
    """A user with one browser and several tabs, each request at a random replica."""

    def __init__(self, cluster: Cluster, chance: random.Random) -> None:
        self.cluster = cluster
        self.browser = cluster.browser()
        self.cookies: set[str] = set()
        """Every session cookie that the browser ever had."""
        self._chance = chance

    def replica(self) -> int:
        return self._chance.randrange(REPLICAS)

    def begin(self, path: str = "/auth/login") -> str:
        """Begin a sign-in from the application's page; returns the address at the provider."""
        return self.browser.authorize_url(path, replica=self.replica())

    def begin_by_a_link_of_another_site(self) -> str:
        """The same, without the Strict cookie."""
        cookies = {
            c.name: c.value or "" for c in self.browser.here.cookies if "session" not in c.name
        }
        response = requests.get(
            self.cluster.url(self.replica()) + "/auth/login",
            headers=NAVIGATION | {"Sec-Fetch-Site": "cross-site"},
            cookies=cookies, allow_redirects=False, timeout=TIMEOUT_SECONDS,
        )  # fmt: skip
        self.browser.here.cookies.update(response.cookies)
        return response.headers["Location"]

    def finish(self, authorize_url: str, email: str = EMAIL) -> requests.Response:
        """Sign in at the provider and request the callback."""
        location = sign_in_at_provider(self.browser.at_provider, authorize_url, email, PASSWORD)
        return self.come_back(location)

    def come_back(self, location: str) -> requests.Response:
        response = self.browser.come_back(location, replica=self.replica())
        self.cookies |= {
            c.value for c in response.cookies if c.name.endswith("session") and c.value
        }
        return response

    def silently(self) -> requests.Response:
        """Sign in silently, as a restored tab does."""
        return self.finish(self.begin(SILENT))


def at_once(work: list[Callable[[], requests.Response]]) -> list[requests.Response]:
    """Do all at once."""
    with ThreadPoolExecutor(len(work)) as pool:
        return [future.result() for future in [pool.submit(one) for one in work]]


def by_a_link(user: User) -> None:
    user.finish(user.begin())
    user.finish(user.begin_by_a_link_of_another_site())


def in_two_tabs(user: User) -> None:
    urls = [user.begin(), user.begin()]
    locations = [
        sign_in_at_provider(user.browser.at_provider, url, EMAIL, PASSWORD) for url in urls
    ]
    at_once([lambda: user.come_back(locations[0]), lambda: user.come_back(locations[1])])


def as_another_user(user: User) -> None:
    user.finish(user.begin())
    user.browser.at_provider.cookies.clear()
    user.finish(user.begin_by_a_link_of_another_site(), OTHER_EMAIL)


def two_step_ups(user: User) -> None:
    user.finish(user.begin())
    urls = [user.begin("/auth/login?max_age=0") for _ in range(2)]
    at_once([lambda: user.finish(urls[0]), lambda: user.finish(urls[1])])


def restored_tabs(user: User) -> None:
    """The session has ended, the provider's hasn't; silent sign-ins show no page."""
    user.finish(user.begin())
    assert user.browser.log_out(replica=user.replica()).status_code == 200
    for response in at_once([user.silently] * TABS):
        assert response.status_code == 303, response.text
        assert response.headers["Location"].startswith("/inbox")


WAYS = [by_a_link, in_two_tabs, as_another_user, two_step_ups, restored_tabs]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: str(way.__name__))
def test_promise_2_after_a_logout_no_session_of_the_browser_is_left(
    cluster: Cluster, way: Callable[[User], None]
) -> None:
    for number in range(rounds(full=50, reduced=3)):
        user = User(cluster, random.Random(number))  # noqa: S311
        way(user)
        browser = user.browser
        if browser.profile(replica=user.replica()).status_code == 401:
            # Responses overtook each other; the page does this by itself.
            user.silently()
        assert browser.profile(replica=user.replica()).status_code == 200
        response = browser.log_out(replica=user.replica())
        assert response.status_code == 200, response.text
        for cookie in user.cookies:
            for replica in range(REPLICAS):
                assert opens(cluster, cookie, replica) == 401, f"round {number}"
        wait_for(lambda: cluster.active_refresh_tokens() == 0, "every refresh token is revoked", 30)
        assert cluster.keys("session") == []


def test_promise_2_a_sign_in_that_is_under_way_at_a_logout_is_not_finished(
    cluster: Cluster,
) -> None:
    user = User(cluster, random.Random(0))  # noqa: S311
    user.finish(user.begin())
    begun = user.begin_by_a_link_of_another_site()
    location = sign_in_at_provider(user.browser.at_provider, begun, EMAIL, PASSWORD)
    assert user.browser.log_out(replica=user.replica()).status_code == 200
    response = user.come_back(location)
    assert response.status_code == 400
    assert "sign_in_superseded" in response.text
    wait_for(lambda: cluster.active_refresh_tokens() == 0, "its refresh token is revoked", 30)
    # A new sign-in succeeds.
    user.finish(user.begin())
    assert user.browser.profile().status_code == 200
    assert user.browser.log_out().status_code == 200


def test_promise_2_a_logout_whose_response_is_lost_leaves_the_next_session_reachable(
    cluster: Cluster,
) -> None:
    """The id that the logout has closed stays in the browser, beside that of the next sign-in."""
    for number in range(rounds(full=50, reduced=8)):
        user = User(cluster, random.Random(number))  # noqa: S311
        drop_deleted(user, user.finish(user.begin()))
        before = user.browser.here.cookies.copy()
        assert user.browser.log_out(replica=user.replica()).status_code == 200
        user.browser.here.cookies = before
        drop_deleted(user, user.finish(user.begin()))
        first = user.browser.cookie
        drop_deleted(user, user.finish(user.begin_by_a_link_of_another_site()))
        assert first is not None
        assert opens(cluster, first, user.replica()) == 401, f"round {number}: two sessions"
        begun = user.begin_by_a_link_of_another_site()
        assert user.browser.log_out(replica=user.replica()).status_code == 200
        assert "sign_in_superseded" in user.finish(begun).text, f"round {number}"
        assert cluster.keys("session") == []


def drop_deleted(user: User, response: requests.Response) -> None:
    """Delete the cookies that *response* deletes, which `BrowserClient` keeps."""
    for line in response.raw.headers.getlist("Set-Cookie"):
        if "Max-Age=0;" in line:
            name = line.partition("=")[0]
            for one in [c for c in user.browser.here.cookies if c.name == name]:
                user.browser.here.cookies.clear(one.domain, one.path, one.name)


def opens(cluster: Cluster, cookie: str, replica: int) -> int:
    """The status of a request with the copied cookie."""
    return requests.get(
        f"{cluster.url(replica)}/auth/profile", cookies={"session": cookie},
        headers={"Sec-Fetch-Site": "same-origin"}, timeout=TIMEOUT_SECONDS,
    ).status_code  # fmt: skip
