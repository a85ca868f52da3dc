"""Do a thousand sessions end at once, all of them within seconds, among many others?

They end by one request to the admin API, or by one logout token of the provider. At full scale
(`make stress`) it is 1,000 sessions of one user among 100,000 of others.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis
import requests

from bff.app.services import Services, build_services
from bff.config import load
from bff.core.model import Group
from bff.machine_api.backchannel_logout import KEYS_SECONDS, LogoutReceiver
from tests.support.bench import config_for
from tests.support.browser_client import FETCH
from tests.support.cluster import Cluster
from tests.support.crowd import Crowd
from tests.support.fake_provider import CLIENT_ID, FakeProvider
from tests.support.redis_server import RedisServer
from tests.support.scale import rounds

pytestmark = pytest.mark.session_cache

ADMIN_KEY = "the-static-key-of-the-administrators"
USER = "auth0|many"
SESSIONS = rounds(1_000, 200)
OTHERS = rounds(100_000, 5_000)
ANSWER_SECONDS = 5
THREADS = 8
TRIES = 5


# ------------------------------------------------------------------ over HTTP, at every replica


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with Cluster(replicas=2, env={"BFF_ADMIN_KEY": ADMIN_KEY}) as cluster:
        yield cluster


@pytest.fixture
def crowd(cluster: Cluster) -> Iterator[Crowd]:
    made = Crowd(load(cluster.environment() | {"PATH": ""}))
    yield made
    made.close()


def statuses(cluster: Cluster, cookie_ids: list[str]) -> list[int]:
    """The statuses for these cookies, at alternating replicas, from several threads."""

    def ask(share: list[str]) -> list[int]:
        with requests.Session() as session:
            session.trust_env = False
            return [
                session.get(
                    f"{cluster.url(number % 2)}/auth/profile",
                    headers=FETCH,
                    cookies={"session": cookie_id},
                    timeout=20,
                ).status_code
                for number, cookie_id in enumerate(share)
            ]

    shares = [cookie_ids[start::THREADS] for start in range(THREADS)]
    with ThreadPoolExecutor(THREADS) as pool:
        return [status for found in pool.map(ask, shares) for status in found]


def by_admin_call(cluster: Cluster) -> None:
    response = requests.post(
        f"{cluster.url()}/admin/sessions/end",
        json={"sub": USER, "reason": "test"},
        headers={"Authorization": f"Bearer {ADMIN_KEY}"},
        timeout=60,
    )
    assert (response.status_code, response.json()) == (200, {"ended": SESSIONS})


def by_logout_token(cluster: Cluster) -> None:
    """The provider sends the token and waits five seconds, like Auth0."""
    [sent] = cluster.control("POST", "backchannel", sub=USER)
    assert sent["status"] == 200


@pytest.mark.parametrize("end_all", [by_admin_call, by_logout_token])
def test_promise_6_all_of_a_users_sessions_are_over_after_the_response_to_one_message(
    cluster: Cluster,
    crowd: Crowd,
    end_all: Callable[[Cluster], None],
    record_property: Callable[[str, object], None],
) -> None:
    crowd.of_others(OTHERS)
    mine, other = crowd.of_user(USER, SESSIONS), crowd.of_user("auth0|one", 1)
    assert set(statuses(cluster, mine[:50] + other)) == {200}
    began = time.monotonic()
    end_all(cluster)
    seconds = time.monotonic() - began
    assert statuses(cluster, mine) == [401] * SESSIONS
    assert statuses(cluster, other) == [200]
    record_property("answer_seconds", seconds)
    print(f"{SESSIONS} sessions among {OTHERS:,} of others: answered after {seconds:.2f} s")
    assert seconds < ANSWER_SECONDS


# ------------------------------------------------------------------ the cost, as a ratio


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """Used by this test only, so that its CPU time can be measured."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def fake() -> Iterator[FakeProvider]:
    provider = FakeProvider()
    yield provider
    provider.stop()


@pytest.fixture
def services(own_redis: RedisServer, redis_prefix: str, fake: FakeProvider) -> Iterator[Services]:
    ours = {"OIDC_ISSUER": fake.issuer, "AUTH0_CLIENT_ID": CLIENT_ID}
    made = build_services(config_for(own_redis, redis_prefix, **ours))
    yield made
    made.provider.close()
    made.stores.database.client.close()


MakeEnd = Callable[[str], Callable[[], int]]
"""Makes, for a subject, a function that ends all of its sessions and returns their number."""


@pytest.fixture(params=["admin_call", "logout_token"])
def ending(request: pytest.FixtureRequest, services: Services, fake: FakeProvider) -> MakeEnd:
    """The code behind the admin API, and that behind the back-channel endpoint."""
    find_keys = services.provider.discovery.key_finder(KEYS_SECONDS)
    receiver = LogoutReceiver(
        services.config, find_keys, services.sessions, services.stores.seen_messages
    )

    def by_call(subject: str) -> Callable[[], int]:
        group = Group.of_user(services.config.issuer, subject)
        return lambda: services.revocation.end_group(group, "test")

    def by_token(subject: str) -> Callable[[], int]:
        token = fake.logout_token(sub=subject, sid=None)
        return lambda: receiver.receive(token)

    return by_call if request.param == "admin_call" else by_token


class Meter:
    """Measures the CPU time of an end of all sessions, here and in Redis.

    Elapsed time would include other programs of the machine.
    """

    def __init__(self, services: Services, client: redis.Redis, ending: MakeEnd) -> None:
        self._client = client
        self._ending = ending
        self._crowd = Crowd(services.config)
        self._users = 0

    def others(self, count: int) -> None:
        self._crowd.of_others(count)

    def close(self) -> None:
        self._crowd.close()

    def cost(self, sessions: int) -> float:
        """Milliseconds to end so many sessions of one user; the best of several rounds."""
        return min(self._once(sessions) for _ in range(TRIES)) * 1000

    def _once(self, sessions: int) -> float:
        self._users += 1
        subject = f"auth0|measured-{self._users}"
        self._crowd.of_user(subject, sessions)
        end_all = self._ending(subject)
        before = self._cpu_seconds()
        assert end_all() == sessions
        return self._cpu_seconds() - before

    def _cpu_seconds(self) -> float:
        info = self._client.info("cpu")
        return time.process_time() + float(info["used_cpu_user"]) + float(info["used_cpu_sys"])


@pytest.fixture
def meter(
    services: Services, own_redis: RedisServer, ending: MakeEnd, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Meter]:
    monkeypatch.setattr(services.stores.watermarks, "wait_for", lambda _: None)
    with own_redis.client() as client:
        made = Meter(services, client, ending)
        yield made
        made.close()


def test_promise_6_the_cost_grows_with_the_users_own_sessions_and_with_nothing_else(
    meter: Meter, record_property: Callable[[str, object], None]
) -> None:
    few = SESSIONS // 10
    alone_few, alone = meter.cost(few), meter.cost(SESSIONS)
    meter.others(OTHERS)
    among_few, among = meter.cost(few), meter.cost(SESSIONS)
    rows = {
        f"{few} alone": alone_few,
        f"{SESSIONS} alone": alone,
        f"{few} among {OTHERS:,}": among_few,
        f"{SESSIONS} among {OTHERS:,}": among,
        "ratio of the crowd": among / alone,
        "ratio of ten times the sessions": among / among_few,
    }
    for name, value in rows.items():
        record_property(name, value)
        print(f"{name}: {value:.2f}")
    assert among / alone < 2
    assert among / among_few < 15
