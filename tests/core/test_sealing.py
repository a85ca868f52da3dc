"""A sealed value opens only with its context and key; hashed names differ by key and purpose."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.core.errors import SealInvalid
from bff.core.keyed_hashes import KeyedHashes
from bff.core.sealing import Sealer

OLD, NEW = "o" * 40, "n" * 40


@given(st.binary(max_size=300), st.text(max_size=40))
def test_a_sealed_value_opens(plaintext: bytes, context: str) -> None:
    sealer = Sealer([NEW, OLD])
    assert sealer.open(sealer.seal(plaintext, context), context) == plaintext
    assert sealer.open_text(sealer.seal_text(plaintext, context), context) == plaintext


@given(st.binary(max_size=120))
def test_arbitrary_bytes_do_not_open(value: bytes) -> None:
    with pytest.raises(SealInvalid):
        Sealer([NEW]).open(value, "context")


@given(st.text(max_size=120))
def test_an_arbitrary_text_does_not_open(value: str) -> None:
    with pytest.raises(SealInvalid):
        Sealer([NEW]).open_text(value, "context")


def test_every_changed_byte_is_detected() -> None:
    sealer = Sealer([NEW])
    sealed = sealer.seal(b"a token", "context")
    for position in range(len(sealed)):
        forged = bytearray(sealed)
        forged[position] ^= 1
        with pytest.raises(SealInvalid):
            sealer.open(bytes(forged), "context")
        with pytest.raises(SealInvalid):
            sealer.open(sealed[:position], "context")


def test_a_sealed_text_has_one_spelling() -> None:
    """The last character of unpadded base64 has unused bits."""
    sealer = Sealer([NEW])
    for length in range(3):
        sealed = sealer.seal_text(b"x" * length, "context")
        for last in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_":
            if last != sealed[-1]:
                with pytest.raises(SealInvalid):
                    sealer.open_text(sealed[:-1] + last, "context")


def test_another_context_does_not_open() -> None:
    sealer = Sealer([NEW])
    with pytest.raises(SealInvalid):
        sealer.open(sealer.seal(b"a token", "session a tokens"), "session b tokens")


def test_the_newest_key_seals_and_every_key_opens() -> None:
    before, after = Sealer([OLD]), Sealer([NEW, OLD])
    assert after.open(before.seal(b"x", "c"), "c") == b"x"
    with pytest.raises(SealInvalid):
        before.open(after.seal(b"x", "c"), "c")


def test_the_same_plaintext_is_sealed_differently_each_time() -> None:
    sealer = Sealer([NEW])
    assert len({sealer.seal(b"x", "c") for _ in range(100)}) == 100


def test_names_depend_on_key_purpose_and_every_value() -> None:
    sealer = Sealer([NEW, OLD])
    names = {
        sealer.keyed_hash("user", "a", "bc"),
        sealer.keyed_hash("user", "ab", "c"),
        sealer.keyed_hash("sid", "a", "bc"),
        sealer.keyed_hash("user", "a", "bc", ""),
        Sealer([OLD]).keyed_hash("user", "a", "bc"),
    }
    assert len(names) == 5
    assert sealer.keyed_hashes("user", "a", "bc") == [
        sealer.keyed_hash("user", "a", "bc"),
        Sealer([OLD]).keyed_hash("user", "a", "bc"),
    ]


def test_a_sealer_needs_a_key() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Sealer([])


def test_the_key_of_the_apis_makes_no_other_name() -> None:
    """The operator hands it out, so it must not make a form token or the name of an index."""
    sealer = Sealer([NEW, OLD])
    assert sealer.revoked_token_names.name("logout form", "x") != sealer.keyed_hash(
        "logout form", "x"
    )
    assert not set(sealer.revoked_token_names.names("user", "a")) & set(
        sealer.keyed_hashes("user", "a")
    )
    keys = sealer.revoked_token_names.as_text().split(",")
    assert len(set(keys)) == 2
    assert KeyedHashes.from_text(",".join(keys)).names("x") == sealer.revoked_token_names.names("x")
