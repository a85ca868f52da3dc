"""What JSON can express and our formats can't costs nobody the sign-in, or is refused clearly."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from bff.core.errors import IDTokenInvalid
from bff.core.model import Identity, groups_of
from bff.provider.id_token import identity_of
from bff.provider.oidc import Provider
from tests.support.fake_provider import FakeProvider, transaction

HALF = "\ud83d"
"""The first half of an emoji, as a name has it that was cut after so many UTF-16 units."""


def signed_in(fake: FakeProvider, provider: Provider, **claims: Any) -> Identity:
    fake.token(fake.grant(id_token=fake.id_token(**claims)))
    return provider.exchange_code("the-code", transaction()).identity


def nested(depth: int) -> Any:
    value: Any = "end"
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("claims", "shown"),
    [
        ({"name": f"Dana {HALF}"}, {"name": "Dana \ufffd"}),
        ({"name": f"{HALF}\ude00"}, {"name": "\U0001f600"}),
        ({"name": {f"a{HALF}": [HALF, {}]}}, {"name": {"a\ufffd": ["\ufffd", {}]}}),
        ({"email": f"{HALF}@example.com"}, {"email": "\ufffd@example.com"}),
        ({"locale": 2**70}, {"locale": str(2**70)}),
        ({"locale": -(2**70)}, {"locale": str(-(2**70))}),
        ({"acr": HALF, "amr": [HALF, "pwd"], "org_id": HALF}, {"org_id": "\ufffd"}),
    ],
    ids=["name", "whole", "nested", "email", "large", "small", "acr"],
)  # fmt: skip
def test_a_claim_that_is_only_shown_is_replaced(
    fake: FakeProvider, provider: Provider, claims: dict[str, Any], shown: dict[str, Any]
) -> None:
    identity = signed_in(fake, provider, **claims)
    assert {name: identity.claims[name] for name in shown} == shown
    # As it is stored, found again and shown.
    assert msgspec.json.decode(msgspec.json.encode(identity), type=Identity) == identity
    for group in groups_of(identity):
        assert all(value.encode() for value in group.values)
    json.dumps(identity.claims, ensure_ascii=False).encode()


def test_a_claim_of_any_depth_can_be_stored(fake: FakeProvider, provider: Provider) -> None:
    identity = signed_in(fake, provider, name=nested(400))
    msgspec.json.encode(identity)
    assert identity_of({"iss": "i", "sub": "s", "name": nested(8)}, fake.config()).claims[
        "name"
    ] == nested(8)


@pytest.mark.parametrize("name", ["iss", "sub", "sid", "nonce", "at_hash"])
def test_a_claim_that_identifies_is_refused_with_a_clear_error(
    fake: FakeProvider, provider: Provider, name: str
) -> None:
    with pytest.raises(IDTokenInvalid) as caught:
        signed_in(fake, provider, **{name: f"x{HALF}"})
    assert caught.value.detail == f"{name} is no Unicode text"
    assert caught.value.status == 502
