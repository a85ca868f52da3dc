"""What providers write into metadata and keys for what they don't have, counts as missing."""

from typing import Any

import pytest

from bff.provider.metadata import Metadata, checked_metadata
from tests.provider.test_discovery import TLS_ISSUER, document
from tests.support.fake_provider import FakeProvider, transaction
from tests.support.standalone_provider import StandaloneProvider


@pytest.mark.parametrize("missing", [None, "", False, [], {}], ids=str)
def test_null_or_something_empty_in_metadata_counts_as_missing(missing: Any) -> None:
    required = document()
    optional = {n: missing for n in Metadata.__struct_fields__ if n not in required}
    assert checked_metadata(required | optional, TLS_ISSUER) == checked_metadata(
        required, TLS_ISSUER
    )


ODD_KEYS: dict[str, dict[str, Any]] = {
    "null for what is missing": {"use": None, "alg": None, "key_ops": None, "x5c": None},
    "empty texts for what is missing": {"use": "", "alg": "", "x5t": "", "x5c": ""},
    "a certificate that is no list": {"x5c": "x", "x5t": 7, "x5u": ""},
}


@pytest.mark.parametrize("more", ODD_KEYS.values(), ids=ODD_KEYS)
def test_a_key_is_used_whatever_stands_beside_it(
    fake: FakeProvider, provider: StandaloneProvider, more: dict[str, Any]
) -> None:
    fake.keys = [key | more for key in fake.keys]
    fake.token(fake.grant())
    assert provider.exchange_code("c", transaction())
