"""Sign-ins get a share of the requests to the provider, so that renewals keep theirs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from bff.core.errors import Overloaded
from bff.core.work_slots import WorkSlots
from bff.provider.oidc import Provider
from bff.provider.sign_in_requests import PLACES
from tests.support.fake_provider import FakeProvider, Reply, Request, transaction
from tests.support.waiting import wait_for

SIGN_INS = 3 * PLACES


class Slow:
    """Keeps sign-ins waiting until it is told to go on; renewals are answered at once."""

    def __init__(self, fake: FakeProvider) -> None:
        self.go_on = threading.Event()
        self.waiting = 0
        self._fake = fake
        self._lock = threading.Lock()
        fake.metadata["pushed_authorization_request_endpoint"] = f"{fake.issuer}oauth/par"
        for path in ("/oauth/token", "/oauth/par"):
            fake.responders[path] = self._answer

    def _answer(self, _: object, asked: Request) -> Reply:
        if asked.form.get("grant_type") == "refresh_token":
            return Reply(self._fake.grant(id_token=None))
        with self._lock:
            self.waiting += 1
        self.go_on.wait(10)
        if asked.path == "/oauth/par":
            return Reply({"request_uri": "urn:x", "expires_in": 30}, 201)
        return Reply(self._fake.grant())


@pytest.mark.parametrize("step", ["exchange", "push"])
def test_sign_ins_that_wait_leave_room_for_renewals(
    fake: FakeProvider, client_for: Callable[..., Provider], step: str
) -> None:
    slow, client = Slow(fake), client_for(BFF_PROVIDER_TIMEOUT_SECONDS="20")
    slots = WorkSlots(1)
    client.warm_up()

    def sign_in(_: int) -> str:
        slots.take()
        try:
            if step == "push":
                client.authorization_url(transaction(), {})
            else:
                client.exchange_code("code", transaction())
        except Overloaded:
            return "overloaded"
        finally:
            slots.give_back()
        return "ok"

    with ThreadPoolExecutor(SIGN_INS) as threads:
        outcomes = threads.map(sign_in, range(SIGN_INS))
        wait_for(lambda: slow.waiting == PLACES, "the places to be taken")
        assert client.refresh("a-refresh-token").access_token == "the-access-token"
        # They hold no slot while they wait, so other requests are worked on.
        slots.take()
        slots.give_back()
        threading.Timer(2.0, slow.go_on.set).start()
        found = list(outcomes)
    assert slow.waiting == PLACES, "none was sent beyond the places"
    assert (found.count("ok"), found.count("overloaded")) == (PLACES, SIGN_INS - PLACES)
