"""Promise 6: a sign-in from before "end all sessions of this user" doesn't outlive it."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from tests.support.browser_client import BrowserClient
from tests.support.cluster import EMAIL, PASSWORD, Cluster
from tests.support.provider_form import sign_in_at_provider
from tests.support.scale import rounds
from tests.support.waiting import wait_for

pytestmark = pytest.mark.session_cache

REPLICAS = 3
ADMIN_KEY = "an-admin-key-for-the-tests-0123456789"
SUBJECT = "auth0|demo"


@pytest.fixture(scope="module")
def cluster(session_cache: str) -> Iterator[Cluster]:
    with Cluster(REPLICAS, env={"BFF_ADMIN_KEY": ADMIN_KEY}) as started:
        yield started


def end_all(cluster: Cluster, replica: int) -> int:
    """End all sessions of the user; returns how many there were."""
    response = requests.post(
        f"{cluster.url(replica)}/admin/sessions/end",
        json={"sub": SUBJECT, "reason": "test"},
        headers={"Authorization": f"Bearer {ADMIN_KEY}"},
        timeout=20,
    )
    assert response.status_code == 200, response.text
    return int(response.json()["ended"])


def at_provider(browser: BrowserClient, authorize_url: str) -> str:
    """Sign in there, or pass with the browser's session there."""
    return sign_in_at_provider(browser.at_provider, authorize_url, EMAIL, PASSWORD)


def test_promise_6_no_sign_in_from_before_survives_an_end_that_races_with_it(
    cluster: Cluster,
) -> None:
    refused_late = 0
    for number in range(rounds(full=500, reduced=12)):
        chance = random.Random(number)  # noqa: S311
        browser = cluster.browser()
        location = at_provider(browser, browser.authorize_url())
        ending = Thread(target=end_all, args=(cluster, chance.randrange(REPLICAS)))

        ending.start()
        time.sleep(chance.uniform(0, 0.02))  # A random delay decides which of the two comes first.
        response = browser.come_back(location, replica=chance.randrange(REPLICAS))
        ending.join()

        assert response.status_code in (302, 303), response.text
        refused_late += response.status_code == 302
        for replica in range(REPLICAS):
            assert browser.profile(replica=replica).status_code == 401, f"round {number}"
        browser.close()
    assert refused_late > 0, "no sign-in came after the end"
    wait_for(
        lambda: not cluster.active_refresh_tokens(),
        "the revocation of every refresh token",
        60,
    )


def test_promise_6_the_providers_old_session_alone_does_not_get_in(cluster: Cluster) -> None:
    browser = cluster.browser()
    browser.log_in()
    assert end_all(cluster, 1) == 1
    assert browser.profile(replica=2).status_code == 401

    # Immediately after it, with the browser's session at the provider.
    sent_back = browser.come_back(at_provider(browser, browser.authorize_url("/auth/login")))
    assert sent_back.status_code == 302, "the old session was enough"
    again = sent_back.headers["Location"]
    assert parse_qs(urlsplit(again).query)["max_age"] == ["0"]
    assert browser.profile().status_code == 401

    # A new sign-in, in the same second as the response of the end or the next.
    response = browser.come_back(at_provider(browser, again))
    assert response.status_code == 303, response.text
    assert browser.profile(replica=2).status_code == 200
    browser.log_out()
