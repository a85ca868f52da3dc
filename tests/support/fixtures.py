"""Which fixtures are for tests of sign-ins and of the machine API?"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from bff.core.model import Group
from bff.store import Watermarks
from demo.provider import start_provider
from tests.support.fake_provider import FakeProvider
from tests.support.provider_client import ProviderClient, provider_settings
from tests.support.receiver import Receiver
from tests.support.redis_server import RedisServer
from tests.support.signing_in import World
from tests.support.transmitter import Transmitter

MakeReceiver = Callable[..., Receiver]
AuditLines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def fake() -> Iterator[FakeProvider]:
    """A provider whose responses the test sets."""
    provider = FakeProvider()
    yield provider
    provider.stop()


@pytest.fixture
def transmitter() -> Iterator[Transmitter]:
    """A Shared Signals transmitter."""
    running = Transmitter()
    yield running
    running.stop()


@pytest.fixture
def receiver_for(
    fake: FakeProvider, redis_server: RedisServer, redis_prefix: str
) -> Iterator[MakeReceiver]:
    """Makes BFFs on the same keys in Redis, each with its own settings."""
    made: list[Receiver] = []

    def make(**settings: str) -> Receiver:
        made.append(Receiver(fake, redis_server, redis_prefix, **settings))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def ends_answer_at_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """An end of many doesn't wait for the next whole second: half a second for each of hundreds.

    Only a sign-in, or a token, that follows needs the wait. Such a test is marked `next_second`, or
    it fails here.
    """
    if request.node.get_closest_marker("next_second"):
        return
    ended: list[int] = []
    newest_of = Watermarks.newest_of

    def checked(self: Watermarks, groups: list[Group]) -> int | None:
        assert not ended, "a sign-in after an end: mark the test with next_second"
        return newest_of(self, groups)

    monkeypatch.setattr(Watermarks, "wait_for", lambda _, watermark_at: ended.append(watermark_at))
    monkeypatch.setattr(Watermarks, "newest_of", checked)


@pytest.fixture
def bff(receiver_for: MakeReceiver) -> Receiver:
    """One with the default settings."""
    return receiver_for()


@pytest.fixture
def audit_lines(caplog: pytest.LogCaptureFixture) -> AuditLines:
    """Returns the audit lines so far."""
    caplog.set_level(logging.INFO, logger="bff.audit")
    return lambda: [
        json.loads(r.getMessage()) for r in list(caplog.records) if r.name == "bff.audit"
    ]


@pytest.fixture
def world_for() -> Iterator[Callable[..., World]]:
    """Makes worlds with their own settings of the application and the provider."""
    with ExitStack() as running:

        def make(provider: dict[str, Any] | None = None, **settings: str) -> World:
            served = running.enter_context(start_provider(provider_settings(**(provider or {}))))
            control = running.enter_context(ProviderClient(served))
            world = World(served.issuer, control, **settings)
            running.callback(world.close)
            return world

        yield make


@pytest.fixture
def world(world_for: Callable[..., World]) -> World:
    """One with the default settings."""
    return world_for()
