"""What the tests of signing in share."""

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from bff.demo.provider import start_provider
from tests.flows.signing_in import World
from tests.support.provider_client import (
    ProviderClient,
    provider_settings,
)


@pytest.fixture
def world_for() -> Iterator[Callable[..., World]]:
    """Makes worlds with settings of the application or the provider of their own."""
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
    """One with the usual settings."""
    return world_for()


@pytest.fixture
def audit_lines(caplog: pytest.LogCaptureFixture) -> Callable[[], list[dict[str, Any]]]:
    """Gives the audit lines so far."""
    caplog.set_level(logging.INFO, logger="bff.audit")
    return lambda: [
        json.loads(record.getMessage()) for record in caplog.records if record.name == "bff.audit"
    ]
