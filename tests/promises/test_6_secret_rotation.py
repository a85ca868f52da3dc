"""Promises 5 and 6: `AUTH0_SECRET` is rotated in two steps over three replicas, under traffic."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import requests

from bff.core.sealing import Sealer
from tests.support.browser_client import BrowserClient
from tests.support.cluster import Cluster
from tests.support.waiting import wait_for

pytestmark = pytest.mark.session_cache

REPLICAS = 3
ADMIN_KEY = "an-admin-key-of-32-characters-00"
PASSWORD = "demo"  # noqa: S105
STEADY, ENDED = "steady@example.com", "ended@example.com"
USERS = [
    {"sub": f"auth0|{email.partition('@')[0]}", "email": email, "password": PASSWORD, "name": email}
    for email in (STEADY, ENDED)
]


class RotatingCluster(Cluster):
    """The API has both keys before the BFF writes with the new one (docs/apis.md)."""

    new_secret = "n" * 64

    def api_environment(self) -> dict[str, str]:
        names = Sealer([self.secret, self.new_secret]).revoked_token_names
        return super().api_environment() | {"DENY_LIST_KEY": names.as_text()}


@pytest.fixture
def cluster(session_cache: str) -> Iterator[RotatingCluster]:
    env = {"BFF_ADMIN_KEY": ADMIN_KEY}
    with RotatingCluster(replicas=REPLICAS, provider={"users": USERS}, env=env) as cluster:
        yield cluster


def signed_in(cluster: Cluster, email: str, replica: int) -> BrowserClient:
    urls = [cluster.url(number) for number in range(REPLICAS)]
    browser = BrowserClient(urls, email, PASSWORD)
    browser.log_in(replica=replica)
    return browser


class Traffic:
    """Calls of a browser at all replicas that are up, one after the other."""

    def __init__(self, browser: BrowserClient) -> None:
        self._browser = browser
        self.up = set(range(REPLICAS))
        self.lock = threading.Lock()
        self.statuses: list[int] = []

    @contextmanager
    def flowing(self) -> Iterator[None]:
        stop = threading.Event()

        def flow() -> None:
            while not stop.is_set():
                for replica in range(REPLICAS):
                    with self.lock:
                        if replica in self.up:
                            response = self._browser.api("/items", replica=replica)
                            self.statuses.append(response.status_code)

        thread = threading.Thread(target=flow)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


def end_all_of_a_user_ends_all(cluster: Cluster, ending: int) -> None:
    """Sign in at every replica, end all at one: nothing of it works at any."""
    browsers = [signed_in(cluster, ENDED, replica) for replica in range(REPLICAS)]
    for browser in browsers:
        for replica in range(REPLICAS):
            response = browser.api("/items", replica=replica)
            assert response.status_code == 200, response.text
    response = requests.post(
        f"{cluster.url(ending)}/admin/sessions/end",
        json={"email": ENDED, "reason": "test"},
        headers={"Authorization": f"Bearer {ADMIN_KEY}"},
        timeout=20,
    )
    assert response.json()["ended"] == REPLICAS
    for browser in browsers:
        for replica in range(REPLICAS):
            assert browser.api("/items", replica=replica).status_code == 401
        browser.close()
    wait_for(lambda: cluster.active_refresh_tokens() == 1, "only the other user's is left")


def test_promise_6_a_rotation_in_two_steps_signs_nobody_out_and_every_end_ends_all(
    cluster: RotatingCluster,
) -> None:
    old, new = cluster.secret, cluster.new_secret
    steady = signed_in(cluster, STEADY, 0)
    traffic = Traffic(steady)
    with traffic.flowing():
        for secret in (f"{old},{new}", f"{new},{old}"):
            for replica in range(REPLICAS):
                with traffic.lock:
                    traffic.up.discard(replica)
                cluster.replicas[replica].stop()
                cluster.replicas[replica] = cluster.start_replica(
                    cluster.ports[replica], AUTH0_SECRET=secret
                )
                with traffic.lock:
                    traffic.up.add(replica)
                end_all_of_a_user_ends_all(cluster, (replica + 1) % REPLICAS)
    assert set(traffic.statuses) == {200}
    steady.log_out()
    wait_for(lambda: cluster.active_refresh_tokens() == 0, "everything is revoked")
