"""A provider's quirk takes one subclass of `Dialect`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from bff.provider.dialect import Dialect
from bff.provider.endpoints import EndpointClient
from tests.support.fake_provider import FakeProvider, Reply, transaction
from tests.support.standalone_provider import StandaloneProvider


class QuirkyDialect(Dialect):
    """Another word for a wrong secret, and a claim with the end of the provider's session."""

    def refuses_client(self, status: int, error: str) -> bool:
        return error == "bad_secret"

    def session_ends_at(self, claims: dict[str, Any]) -> int | None:
        return int(claims["sso_until"])


@pytest.fixture
def quirky(fake: FakeProvider) -> Iterator[StandaloneProvider]:
    config = fake.config(AUTH0_CLIENT_SECRET="new\nold")
    provider = StandaloneProvider(EndpointClient(config, QuirkyDialect()))
    yield provider
    provider.close()


def test_another_error_for_a_wrong_secret(fake: FakeProvider, quirky: StandaloneProvider) -> None:
    replies = iter([Reply({"error": "bad_secret"}, 400), Reply(fake.grant(id_token=None))])
    fake.says("/oauth/token", lambda: next(replies))
    assert quirky.refresh("the-token").access_token == "the-access-token"
    secrets = [one.form["client_secret"] for one in fake.asked if one.path == "/oauth/token"]
    assert secrets == ["new", "old"]


def test_another_claim_for_the_end_of_the_session(
    fake: FakeProvider, quirky: StandaloneProvider
) -> None:
    fake.token(fake.grant(id_token=fake.id_token(sso_until=1_900_000_000, session_expiry=7)))
    assert quirky.exchange_code("code", transaction()).session_ends_at == 1_900_000_000
