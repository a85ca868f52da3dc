"""A fake provider and a client of it, for one test each."""

from collections.abc import Callable, Iterator

import pytest

from bff.provider.create import create_provider
from bff.provider.oidc import Provider
from tests.support.fake_provider import FakeProvider


@pytest.fixture
def client_for(fake: FakeProvider) -> Iterator[Callable[..., Provider]]:
    """Makes clients with changed settings; they are closed at the end."""
    made: list[Provider] = []

    def make(**changes: str) -> Provider:
        made.append(create_provider(fake.config(**changes)))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture
def provider(client_for: Callable[..., Provider]) -> Provider:
    """The client under test, with the usual settings."""
    return client_for()
