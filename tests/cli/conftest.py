"""A BFF whose Redis the commands work on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.providers.fake import FakeProvider
from tests.support.receiver import Receiver
from tests.support.redis_server import RedisServer


@pytest.fixture
def fake() -> Iterator[FakeProvider]:
    """The provider."""
    provider = FakeProvider()
    yield provider
    provider.stop()


@pytest.fixture
def bff(fake: FakeProvider, redis_server: RedisServer, redis_prefix: str) -> Iterator[Receiver]:
    """The BFF."""
    made = Receiver(fake, redis_server, redis_prefix)
    yield made
    made.close()
