"""Promise 2: a logout ends every session of the browser, however its sign-ins overlapped.

The cookie of a session is `SameSite=Strict`, so it comes neither with a link of another site nor
from the provider. Each way here left sessions alive that no logout could reach.
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


class Person:
    """Somebody with one browser and several tabs, each at a replica of its own."""

    def __init__(self, cluster: Cluster, chance: random.Random) -> None:
        self.cluster = cluster
        self.browser = cluster.browser()
        self.cookies: set[str] = set()
        """Every session cookie that the browser ever had."""
        self._chance = chance

    def replica(self) -> int:
        return self._chance.randrange(REPLICAS)

    def begin(self, path: str = "/auth/login") -> str:
        """Begin a sign-in by a click of the application's own; where the provider is."""
        return self.browser.authorize_url(path, replica=self.replica())

    def begin_by_a_link_of_another_site(self) -> str:
        """The same, without the Strict cookie."""
        kept = {c.name: c.value or "" for c in self.browser.here.cookies if "session" not in c.name}
        answer = requests.get(
            self.cluster.url(self.replica()) + "/auth/login",
            headers=NAVIGATION | {"Sec-Fetch-Site": "cross-site"},
            cookies=kept, allow_redirects=False, timeout=TIMEOUT_SECONDS,
        )  # fmt: skip
        self.browser.here.cookies.update(answer.cookies)
        return answer.headers["Location"]

    def finish(self, authorize_url: str, email: str = EMAIL) -> requests.Response:
        """Sign in at the provider and come back."""
        location = sign_in_at_provider(self.browser.at_provider, authorize_url, email, PASSWORD)
        return self.come_back(location)

    def come_back(self, location: str) -> requests.Response:
        answer = self.browser.come_back(location, replica=self.replica())
        self.cookies |= {c.value for c in answer.cookies if c.name.endswith("session") and c.value}
        return answer

    def silently(self) -> requests.Response:
        """What a restored tab does."""
        return self.finish(self.begin(SILENT))


def in_tabs(work: list[Callable[[], requests.Response]]) -> list[requests.Response]:
    """Do all at once."""
    with ThreadPoolExecutor(len(work)) as pool:
        return [future.result() for future in [pool.submit(one) for one in work]]


def by_a_link(person: Person) -> None:
    person.finish(person.begin())
    person.finish(person.begin_by_a_link_of_another_site())


def in_two_tabs(person: Person) -> None:
    urls = [person.begin(), person.begin()]
    locations = [
        sign_in_at_provider(person.browser.at_provider, url, EMAIL, PASSWORD) for url in urls
    ]
    in_tabs([lambda: person.come_back(locations[0]), lambda: person.come_back(locations[1])])


def as_another_user(person: Person) -> None:
    person.finish(person.begin())
    person.browser.at_provider.cookies.clear()
    person.finish(person.begin_by_a_link_of_another_site(), OTHER_EMAIL)


def two_step_ups(person: Person) -> None:
    person.finish(person.begin())
    urls = [person.begin("/auth/login?max_age=0") for _ in range(2)]
    in_tabs([lambda: person.finish(urls[0]), lambda: person.finish(urls[1])])


def restored_tabs(person: Person) -> None:
    """The session is over, the provider's isn't; nobody has clicked, so nobody sees a page."""
    person.finish(person.begin())
    assert person.browser.log_out(replica=person.replica()).status_code == 200
    for answer in in_tabs([person.silently] * TABS):
        assert answer.status_code == 303, answer.text
        assert answer.headers["Location"].startswith("/inbox")


WAYS = [by_a_link, in_two_tabs, as_another_user, two_step_ups, restored_tabs]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: str(way.__name__))
def test_promise_2_after_a_logout_no_session_of_the_browser_is_left(
    cluster: Cluster, way: Callable[[Person], None]
) -> None:
    for number in range(rounds(full=50, reduced=3)):
        person = Person(cluster, random.Random(number))  # noqa: S311
        way(person)
        browser = person.browser
        if browser.profile(replica=person.replica()).status_code == 401:
            # Responses overtook each other; the page does this by itself.
            person.silently()
        assert browser.profile(replica=person.replica()).status_code == 200
        answer = browser.log_out(replica=person.replica())
        assert answer.status_code == 200, answer.text
        for cookie in person.cookies:
            for replica in range(REPLICAS):
                assert opens(cluster, cookie, replica) == 401, f"round {number}"
        wait_for(lambda: cluster.living_refresh_tokens() == 0, "every refresh token is revoked", 30)
        assert cluster.keys("session") == []


def test_promise_2_a_sign_in_that_is_under_way_at_a_logout_is_not_finished(
    cluster: Cluster,
) -> None:
    person = Person(cluster, random.Random(0))  # noqa: S311
    person.finish(person.begin())
    begun = person.begin_by_a_link_of_another_site()
    location = sign_in_at_provider(person.browser.at_provider, begun, EMAIL, PASSWORD)
    assert person.browser.log_out(replica=person.replica()).status_code == 200
    answer = person.come_back(location)
    assert answer.status_code == 400
    assert "sign_in_superseded" in answer.text
    wait_for(lambda: cluster.living_refresh_tokens() == 0, "its refresh token is revoked", 30)
    # A new one is nobody's business but the user's.
    person.finish(person.begin())
    assert person.browser.profile().status_code == 200
    assert person.browser.log_out().status_code == 200


def opens(cluster: Cluster, cookie: str, replica: int) -> int:
    """What the copied cookie gets."""
    return requests.get(
        f"{cluster.url(replica)}/auth/profile", cookies={"session": cookie},
        headers={"Sec-Fetch-Site": "same-origin"}, timeout=TIMEOUT_SECONDS,
    ).status_code  # fmt: skip
