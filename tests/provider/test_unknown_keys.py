"""A key that isn't listed yet is looked up, whatever other keys were asked for a moment ago."""

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from bff.core.errors import IDTokenInvalid, ProviderUnavailable
from bff.core.unknown_keys import ANYONE_BURST, ANYONE_PAUSE_SECONDS
from bff.provider.create import create_endpoint_client
from tests.support.fake_provider import OTHER_KEY, FakeProvider, transaction
from tests.support.issuer import Clock
from tests.support.standalone_provider import StandaloneProvider

NEW_KID = str(OTHER_KEY.get("kid"))


@pytest.fixture
def clock() -> Clock:
    """A clock for one test."""
    return Clock()


@pytest.fixture
def aging(fake: FakeProvider, clock: Clock) -> Iterator[StandaloneProvider]:
    """A client whose keys age by the test's clock."""
    provider = StandaloneProvider(create_endpoint_client(fake.config(), monotonic=clock))
    yield provider
    provider.close()


def test_each_unknown_key_is_looked_up_though_another_one_just_was(
    fake: FakeProvider, aging: StandaloneProvider
) -> None:
    aging.warm_up()
    fake.token(fake.grant(id_token=fake.id_token(header={"kid": "lost"})))
    with pytest.raises(IDTokenInvalid):
        aging.exchange_code("c", transaction())
    fake.keys.append(OTHER_KEY.as_dict(private=False))
    fake.token(fake.grant(id_token=fake.id_token(OTHER_KEY)))
    assert aging.exchange_code("c", transaction())


def test_tokens_of_anyone_do_not_hold_up_those_of_the_token_endpoint(
    fake: FakeProvider, aging: StandaloneProvider
) -> None:
    aging.warm_up()
    find_key = aging.discovery.key_finder(5)
    for number in range(ANYONE_BURST):
        assert find_key("RS256", f"made-up-{number}") is None
    assert find_key("RS256", "made-up-0") is None
    for kid in ("made-up", NEW_KID):
        # It may be a new key, so this is no refusal.
        with pytest.raises(ProviderUnavailable):
            find_key("RS256", kid)
    assert fake.count("/jwks") == 1 + ANYONE_BURST
    fake.keys.append(OTHER_KEY.as_dict(private=False))
    fake.token(fake.grant(id_token=fake.id_token(OTHER_KEY)))
    assert aging.exchange_code("c", transaction())
    assert find_key("RS256", NEW_KID) is not None


def test_tokens_of_anyone_are_looked_up_again_after_a_pause(
    fake: FakeProvider, aging: StandaloneProvider, clock: Clock
) -> None:
    aging.warm_up()
    find_key = aging.discovery.key_finder(5)
    for number in range(2 * ANYONE_BURST):
        with contextlib.suppress(ProviderUnavailable):
            find_key("RS256", f"made-up-{number}")
    for fetched in (1, 2):
        clock.now += ANYONE_PAUSE_SECONDS
        assert find_key("RS256", "made-up") is None
        assert fake.count("/jwks") == 1 + ANYONE_BURST + fetched
    fake.keys.append(OTHER_KEY.as_dict(private=False))
    clock.now += ANYONE_PAUSE_SECONDS
    assert find_key("RS256", NEW_KID) is not None


def test_a_key_that_many_threads_look_for_is_fetched_once(
    fake: FakeProvider, provider: StandaloneProvider
) -> None:
    provider.warm_up()
    fake.keys.append(OTHER_KEY.as_dict(private=False))
    find_key = provider.discovery.key_finder(5)
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda _: find_key("RS256", NEW_KID), range(64)))
    assert None not in found
    assert fake.count("/jwks") == 2
