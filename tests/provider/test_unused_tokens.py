"""A refresh token in a successful response that isn't used is revoked, whatever is odd about it."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import SecretStr

from bff.config.route import TokenRule
from bff.core.errors import ProviderError, ProviderUnavailable
from tests.support.fake_provider import FakeProvider, transaction
from tests.support.standalone_provider import ListingSink, StandaloneProvider

MakeClient = Callable[..., StandaloneProvider]

TOKENS = {
    "access_token": "a", "token_type": "Bearer", "expires_in": 600, "refresh_token": "ne/w=",
}  # fmt: skip
WRITTEN = json.dumps(TOKENS).encode()
CLIENT = TokenRule(mode="client", client_id="machine", client_secret=SecretStr("s"))
EXCHANGE = TokenRule(mode="exchange", audience="https://api.example/")

TWICE: dict[str, tuple[bytes, str | None, list[str]]] = {
    "another one after it": (b', "refresh_token": "second"}', "second", ["ne/w="]),
    "the same once more": (b', "refresh_token": "ne\\/w="}', "ne/w=", []),
    "null after it": (b', "refresh_token": null}', None, ["ne/w="]),
    "two after it": (b', "refresh_token": 7, "refresh_token":"third"}', "third", ["ne/w="]),
    "one level deeper": (b', "data": {"refresh_token": "deep"}}', "ne/w=", ["deep"]),
    "the one that was sent": (b', "former": {"refresh_token": "old"}}', "ne/w=", []),
    "in a text": (rb', "note": "\"refresh_token\": \"x\""}', "ne/w=", []),
}
NOT_AN_ERROR: dict[str, Any] = {
    "null": None, "an empty text": "", "false": False, "an empty object": {},
}  # fmt: skip

ODD: dict[str, tuple[int, Any]] = {
    "an error beside the tokens": (200, TOKENS | {"error": "odd"}),
    "invalid_grant beside the tokens": (200, TOKENS | {"error": "invalid_grant"}),
    "invalid_client beside the tokens": (200, TOKENS | {"error": "invalid_client"}),
    "an error that is an object": (200, TOKENS | {"error": {"code": 7}}),
    "no access token": (200, TOKENS | {"access_token": None}),
    "an access token that is a number": (200, TOKENS | {"access_token": 7}),
    "a line break in the access token": (200, TOKENS | {"access_token": "a\r\nX: y"}),
    "another token type": (200, TOKENS | {"token_type": "DPoP"}),
    "status 201": (201, TOKENS),
    "status 206": (206, TOKENS),
    "in a list": (200, [TOKENS]),
    "one level deeper": (200, {"data": TOKENS}),
    "something behind the JSON": (200, WRITTEN + b"<!-- 7 ms -->"),
    "cut short": (200, WRITTEN[:-1]),
    "a number too long to be read": (200, WRITTEN[:-1] + b', "x": ' + b"9" * 5000 + b"}"),
    "a letter that is no UTF-8": (200, WRITTEN[:-1] + b', "name": "J\xf6rg"}'),
    "a form": (200, b"access_token=a&refresh_token=ne%2Fw%3D&token_type=bearer"),
}


@pytest.fixture
def sink() -> ListingSink:
    """What is discarded."""
    return ListingSink()


@pytest.mark.parametrize(("status", "body"), ODD.values(), ids=ODD)
@pytest.mark.parametrize("operation", ["sign-in", "refresh", "client", "exchange"])
def test_an_unused_refresh_token_is_discarded(
    fake: FakeProvider, client_for: MakeClient, sink: ListingSink,
    operation: str, status: int, body: Any,
) -> None:  # fmt: skip
    provider = client_for((CLIENT, EXCHANGE), sink)
    fake.token(body, status)
    calls: dict[str, Callable[[], Any]] = {
        "sign-in": lambda: provider.exchange_code("the-code", transaction()),
        "refresh": lambda: provider.refresh("old"),
        "client": lambda: provider.client_token(CLIENT),
        "exchange": lambda: provider.exchange("a", EXCHANGE),
    }
    try:
        issued = calls[operation]()
    except ProviderUnavailable:
        client_id = CLIENT.client_id if operation == "client" else None
        assert sink.discarded == [("ne/w=", client_id)]
    else:
        # The caller of an exchange compares the type, and has both tokens revoked.
        assert (operation, issued.refresh_token) == ("exchange", "ne/w=")


@pytest.mark.parametrize(("more", "used", "discarded"), TWICE.values(), ids=TWICE)
@pytest.mark.parametrize("operation", ["sign-in", "refresh", "client", "exchange"])
def test_of_several_refresh_tokens_in_an_answer_all_but_the_used_one_are_discarded(
    fake: FakeProvider, client_for: MakeClient, sink: ListingSink,
    operation: str, more: bytes, used: str | None, discarded: list[str],
) -> None:  # fmt: skip
    provider = client_for((CLIENT, EXCHANGE), sink)
    fake.token(json.dumps(fake.grant(**TOKENS)).encode()[:-1] + more)
    calls: dict[str, Callable[[], str | None]] = {
        "sign-in": lambda: provider.exchange_code("c", transaction()).tokens.refresh_token,
        "refresh": lambda: provider.refresh("old").refresh_token,
        "client": lambda: provider.client_token(CLIENT).refresh_token,
        "exchange": lambda: provider.exchange("a", EXCHANGE).refresh_token,
    }
    assert calls[operation]() == used
    # Only a refresh has sent "old"; a client's token uses no refresh token at all.
    expected = discarded + (["old"] if b"old" in more and operation != "refresh" else [])
    expected += [used] if operation == "client" and used else []
    client_id = CLIENT.client_id if operation == "client" else None
    assert sorted(sink.discarded) == sorted((one, client_id) for one in expected)


@pytest.mark.parametrize("error", NOT_AN_ERROR.values(), ids=NOT_AN_ERROR)
def test_an_empty_error_beside_tokens_is_none(
    fake: FakeProvider, client_for: MakeClient, sink: ListingSink, error: Any
) -> None:
    provider = client_for((CLIENT,), sink)
    granted = fake.grant(**TOKENS) | {"error": error, "error_description": error}
    fake.token(granted)
    assert provider.exchange_code("the-code", transaction()).tokens.refresh_token == "ne/w="
    assert provider.refresh("old").refresh_token == "ne/w="
    assert sink.discarded == []


@pytest.mark.parametrize("name", ["refresh_token", "id_token", "scope"])
def test_half_a_character_in_a_field_that_may_be_missing_counts_as_missing(
    fake: FakeProvider, client_for: MakeClient, name: str
) -> None:
    """It could not be stored: UTF-8 has no half of a surrogate pair."""
    fake.token(fake.grant(**{"id_token": None, name: "x\ud83d"}))
    assert getattr(client_for().refresh("old"), name) is None


def test_the_token_that_was_sent_is_not_discarded(
    fake: FakeProvider, client_for: MakeClient, sink: ListingSink
) -> None:
    """A provider without rotation returns the same one; the session goes on with it."""
    provider = client_for((), sink)
    fake.token(TOKENS | {"token_type": "odd", "refresh_token": "old"})
    with pytest.raises(ProviderUnavailable):
        provider.refresh("old")
    assert sink.discarded == []


@pytest.mark.parametrize("status", [400, 403, 500])
def test_a_token_in_a_refusal_is_an_echo(
    fake: FakeProvider, client_for: MakeClient, sink: ListingSink, status: int
) -> None:
    """Nothing was issued; to revoke what an error page repeats could end another session."""
    fake.token({"error": "invalid_grant", "refresh_token": "echo"}, status)
    with pytest.raises(ProviderError):
        client_for((), sink).refresh("old")
    assert sink.discarded == []


def test_a_fault_of_our_own_discards_the_token_as_well(
    fake: FakeProvider, client_for: MakeClient, sink: ListingSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError

    provider = client_for((), sink)
    fake.token(fake.grant())
    monkeypatch.setattr("bff.provider.oidc.tokens_of", fail)
    monkeypatch.setattr("bff.provider.oidc.refreshed_tokens_of", fail)
    for call in (
        lambda: provider.exchange_code("the-code", transaction()),
        lambda: provider.refresh("old"),
    ):
        with pytest.raises(RuntimeError):
            call()
    assert sink.discarded == [("the-refresh-token", None)] * 2
