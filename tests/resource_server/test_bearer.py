"""Which `Authorization` headers have a token, and what is the challenge without one?"""

from __future__ import annotations

import pytest

from bff.core.errors import ScopeMissing, StoreUnavailable, TokenInvalid, TokenMissing
from bff.resource_server.bearer import bearer_token, challenge


@pytest.mark.parametrize("header", ["Bearer a.b-c_d~e+f/g==", "bearer  a.b-c_d~e+f/g== "])
def test_a_token(header: str) -> None:
    assert bearer_token(header) == "a.b-c_d~e+f/g=="


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic abc", "Bearer:abc"])
def test_no_token(header: str | None) -> None:
    with pytest.raises(TokenMissing):
        bearer_token(header)


@pytest.mark.parametrize(
    "header",
    ["Bearer a b", "Bearer a,Bearer b", "Bearer a, b", 'Bearer "a"', "Bearer =", "Bearer a=b",
     "Bearer \u00e9", "Bearer a\tb", "Bearer a\x00", "Bearer " + "a" * 20_000],
)  # fmt: skip
def test_an_ambiguous_header_is_rejected(header: str) -> None:
    with pytest.raises(TokenInvalid):
        bearer_token(header)


def test_challenges() -> None:
    assert challenge(TokenMissing(), "r") == 'Bearer realm="r"'
    assert challenge(TokenInvalid("why"), "r") == 'Bearer realm="r", error="invalid_token"'
    assert challenge(ScopeMissing("a b"), "r") == (
        'Bearer realm="r", error="insufficient_scope", scope="a b"'
    )
    assert challenge(StoreUnavailable(), "r") is None
