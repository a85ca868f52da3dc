"""A fake provider, and the client of it that is tested."""

from collections.abc import Callable, Iterator

import pytest

from bff.config.route import TokenRule
from bff.provider.create import create_endpoint_client
from bff.provider.token_endpoint import RefreshTokenSink
from tests.support.fake_provider import FakeProvider
from tests.support.standalone_provider import StandaloneProvider, with_rules


@pytest.fixture
def client_for(fake: FakeProvider) -> Iterator[Callable[..., StandaloneProvider]]:
    """Makes clients with other settings and routes, and closes them at the end."""
    made: list[StandaloneProvider] = []

    def make(
        rules: tuple[TokenRule, ...] = (),
        discard: RefreshTokenSink | None = None,
        **changes: str,
    ) -> StandaloneProvider:
        config = with_rules(fake.config(**changes), rules)
        made.append(StandaloneProvider(create_endpoint_client(config), discard))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture
def provider(client_for: Callable[..., StandaloneProvider]) -> StandaloneProvider:
    """The client under test, with the usual settings."""
    return client_for()
