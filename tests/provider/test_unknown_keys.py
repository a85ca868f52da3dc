"""A key that isn't known yet is looked up, whatever its name, and whatever else was looked up."""

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from joserfc.jwk import RSAKey

from bff.core.errors import IDTokenInvalid, ProviderUnavailable
from bff.core.unknown_keys import ANYONE_BURST, ANYONE_PAUSE_SECONDS
from bff.provider.create import create_endpoint_client
from tests.support.fake_provider import KEY, OTHER_KEY, FakeProvider, transaction
from tests.support.issuer import Clock, first
from tests.support.standalone_provider import StandaloneProvider

NEW_KID = str(OTHER_KEY.get("kid"))
LISTED_KID = str(KEY.get("kid"))


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
    find_keys = aging.discovery.key_finder(5)
    for number in range(ANYONE_BURST):
        assert first(find_keys("RS256", f"made-up-{number}")) is None
    assert first(find_keys("RS256", "made-up-0")) is None
    for kid in ("made-up", NEW_KID):
        # It may be a new key, so this is no refusal.
        with pytest.raises(ProviderUnavailable):
            first(find_keys("RS256", kid))
    assert fake.count("/jwks") == 1 + ANYONE_BURST
    fake.keys.append(OTHER_KEY.as_dict(private=False))
    fake.token(fake.grant(id_token=fake.id_token(OTHER_KEY)))
    assert aging.exchange_code("c", transaction())
    assert first(find_keys("RS256", NEW_KID)) is not None


def test_tokens_of_anyone_are_looked_up_again_after_a_pause(
    fake: FakeProvider, aging: StandaloneProvider, clock: Clock
) -> None:
    aging.warm_up()
    find_keys = aging.discovery.key_finder(5)
    for number in range(2 * ANYONE_BURST):
        with contextlib.suppress(ProviderUnavailable):
            first(find_keys("RS256", f"made-up-{number}"))
    for fetched in (1, 2):
        clock.now += ANYONE_PAUSE_SECONDS
        assert first(find_keys("RS256", "made-up")) is None
        assert fake.count("/jwks") == 1 + ANYONE_BURST + fetched
    fake.keys.append(OTHER_KEY.as_dict(private=False))
    clock.now += ANYONE_PAUSE_SECONDS
    assert first(find_keys("RS256", NEW_KID)) is not None


def test_a_key_that_many_threads_look_for_is_fetched_once(
    fake: FakeProvider, provider: StandaloneProvider
) -> None:
    provider.warm_up()
    fake.keys.append(OTHER_KEY.as_dict(private=False))
    find_keys = provider.discovery.key_finder(5)
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda _: first(find_keys("RS256", NEW_KID)), range(64)))
    assert None not in found
    assert fake.count("/jwks") == 2


@pytest.mark.parametrize("kid", [LISTED_KID, None])
def test_a_new_key_without_a_new_name_is_found_at_once(
    fake: FakeProvider, aging: StandaloneProvider, kid: str | None
) -> None:
    """The provider signs with it as soon as it lists it, in the place of the old one."""
    aging.warm_up()
    parameters: Any = {"use": "sig", "kid": kid} if kid else {"use": "sig"}
    key = RSAKey.generate_key(2048, parameters)
    fake.keys[:] = [key.as_dict(private=False)]
    fake.token(fake.grant(id_token=fake.id_token(key, header={"kid": kid})))
    assert aging.exchange_code("c", transaction())
    fake.token(fake.grant(id_token=fake.id_token(KEY, header={"kid": kid})))
    with pytest.raises(IDTokenInvalid):
        aging.exchange_code("c", transaction())


def test_each_of_two_keys_with_one_name_counts(
    fake: FakeProvider, aging: StandaloneProvider
) -> None:
    key = RSAKey.generate_key(2048, {"kid": LISTED_KID, "use": "sig"})
    fake.keys.append(key.as_dict(private=False))
    for signs in (KEY, key):
        fake.token(fake.grant(id_token=fake.id_token(signs)))
        assert aging.exchange_code("c", transaction())
    assert fake.count("/jwks") == 1
