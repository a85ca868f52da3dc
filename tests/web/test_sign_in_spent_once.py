"""Nobody spends the provider's rate limit: a sign-in is spent once, whoever holds its cookie."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from http.cookies import SimpleCookie
from threading import Event
from types import SimpleNamespace
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from werkzeug.test import TestResponse

from bff.store.sign_in_attempts import TRIES_MAX
from tests.support.fake_provider import FakeProvider, Reply
from tests.support.fixtures import MakeReceiver
from tests.support.receiver import Receiver
from tests.support.signing_in import NAVIGATION

REPLICAS, CALLS = 3, 60
TOKEN = "/oauth/token"


class Attacker:
    """Has the cookie of one sign-in that it began, and uses it at every replica."""

    def __init__(self, replicas: list[Receiver]) -> None:
        self.replicas = replicas
        response = replicas[0].client.get("/auth/login?returnTo=/orders", headers=NAVIGATION)
        self.query = parse_qs(urlsplit(response.headers["Location"]).query)
        cookies: SimpleCookie = SimpleCookie()
        for line in response.headers.getlist("Set-Cookie"):
            cookies.load(line)
        self.cookie = "; ".join(f"{name}={found.value}" for name, found in cookies.items())

    def come_back(self, number: int) -> TestResponse:
        """With a code of its own invention."""
        client = self.replicas[number % len(self.replicas)].app.test_client(use_cookies=False)
        query = urlencode({"state": self.query["state"][0], "code": f"code-{number}"})
        return client.get(f"/auth/callback?{query}", headers=NAVIGATION | {"Cookie": self.cookie})


@pytest.fixture
def attacker(receiver_for: MakeReceiver) -> Attacker:
    return Attacker([receiver_for() for _ in range(REPLICAS)])


def test_one_cookie_is_one_call_at_all_replicas(fake: FakeProvider, attacker: Attacker) -> None:
    fake.token({"error": "invalid_grant"}, 400)
    with ThreadPoolExecutor(16) as threads:
        statuses = [one.status_code for one in threads.map(attacker.come_back, range(CALLS))]
    assert fake.count(TOKEN) == 1
    assert sorted(statuses) == [400] * (CALLS - 1) + [502]


def test_a_sign_in_that_succeeded_is_spent_too(fake: FakeProvider, attacker: Attacker) -> None:
    fake.token(fake.grant(id_token=fake.id_token(nonce=attacker.query["nonce"][0])))
    assert attacker.come_back(0).headers["Location"] == "/orders"
    again = attacker.come_back(1)
    assert (again.status_code, again.headers["Location"]) == (303, "/orders")
    assert fake.count(TOKEN) == 1
    assert not any("session=" in line for line in again.headers.getlist("Set-Cookie"))


def test_of_two_requests_with_one_code_at_a_time_both_lead_to_the_app(
    fake: FakeProvider, attacker: Attacker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a service worker with navigation preload; the browser shows either response."""
    grant = fake.grant(id_token=fake.id_token(nonce=attacker.query["nonce"][0]))
    is_asked, second_waits = Event(), Event()

    def reply() -> Reply:
        is_asked.set()
        assert second_waits.wait(10)
        return Reply(grant)

    fake.says(TOKEN, reply)
    waits = SimpleNamespace(sleep=lambda _: second_waits.set())
    monkeypatch.setattr("bff.web.code_exchange.time", waits)
    with ThreadPoolExecutor(1) as thread:
        first = thread.submit(attacker.come_back, 0)
        assert is_asked.wait(10)
        second = attacker.come_back(1)
    assert [one.headers.get("Location") for one in (first.result(), second)] == ["/orders"] * 2
    assert fake.count(TOKEN) == 1


def test_a_reload_works_when_the_provider_is_back(fake: FakeProvider, attacker: Attacker) -> None:
    fake.token({}, 503)
    assert attacker.come_back(0).status_code == 503
    fake.token(fake.grant(id_token=fake.id_token(nonce=attacker.query["nonce"][0])))
    assert attacker.come_back(1).headers["Location"] == "/orders"


def test_a_provider_that_is_away_is_asked_so_often_only(
    fake: FakeProvider, attacker: Attacker
) -> None:
    fake.token({}, 429)
    statuses = [attacker.come_back(number).status_code for number in range(TRIES_MAX + 5)]
    assert statuses == [503] * TRIES_MAX + [400] * 5
    assert fake.count(TOKEN) == TRIES_MAX
