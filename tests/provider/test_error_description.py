"""Where the provider refuses, the log has its description: short, in one line, without a token."""

import logging
from collections.abc import Callable
from typing import Any

import pytest

from bff.core.errors import BFFError
from bff.provider.error_description import DESCRIPTION_MAX_CHARACTERS
from tests.support.fake_provider import CLIENT_SECRET, FakeProvider, Reply, transaction
from tests.support.standalone_provider import StandaloneProvider

WORDS = "Client is not allowed to request the scope 'orders'."
LOGGED: list[tuple[Any, str]] = [
    (WORDS, WORDS),
    ("AADSTS65001: The user has not consented.", "AADSTS65001: The user has not consented."),
    ("line\r\nbreak \u2028 \x1b[31m", "line\\r\\nbreak \\u2028 \\u001b[31m"),
    ('half \ud83d, "quoted"', 'half \\ud83d, \\"quoted\\"'),
    ("the token old-1 is unknown", "the token [removed] is unknown"),
    ("unknown: eyJhbGciOiJSUzI1NiJ9.e30.c2ln", "unknown: [removed]"),
    ("unknown: v1.MjQ1NjA5-abcdefgh=", "unknown: [removed]"),
    (f"not {CLIENT_SECRET}!", "not [removed]!"),
    ("ab " * 999, ("ab " * 999)[:DESCRIPTION_MAX_CHARACTERS]),
]
"""Half a token at the end would not look like one: it is removed before the text is cut."""


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    found = [one.getMessage() for one in caplog.records if one.name == "bff.provider"]
    return [one for one in found if "refused a request" in one]


def refused(call: Callable[[], Any]) -> None:
    with pytest.raises(BFFError):
        call()


@pytest.mark.parametrize(("described", "logged"), LOGGED, ids=lambda value: str(value)[:12])
def test_a_description_is_logged_without_tokens_and_in_one_line(
    fake: FakeProvider, provider: StandaloneProvider, caplog: pytest.LogCaptureFixture,
    described: str, logged: str,
) -> None:  # fmt: skip
    fake.token({"error": "invalid_grant", "error_description": described}, 400)
    refused(lambda: provider.refresh("old-1"))
    assert lines(caplog) == [f'the provider refused a request (HTTP 400): "{logged}"']


def test_a_token_at_the_cut_is_removed(
    fake: FakeProvider, provider: StandaloneProvider, caplog: pytest.LogCaptureFixture
) -> None:
    described = "x" * (DESCRIPTION_MAX_CHARACTERS - 8) + " " + "a1" * 40
    fake.token({"error": "odd", "error_description": described}, 400)
    refused(lambda: provider.refresh("old"))
    assert "a1a1" not in caplog.text


@pytest.mark.parametrize("described", [None, "", 7, ["x"], {"a": "b"}], ids=str)
def test_what_is_no_description_is_not_logged(
    fake: FakeProvider, provider: StandaloneProvider, caplog: pytest.LogCaptureFixture,
    described: Any,
) -> None:  # fmt: skip
    fake.token({"error": "odd", "error_description": described}, 400)
    refused(lambda: provider.refresh("old"))
    assert lines(caplog) == []


def test_every_kind_of_refusal_is_described(
    fake: FakeProvider, provider: StandaloneProvider, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "bff.provider")
    for status, error in (
        (400, "invalid_grant"), (401, "invalid_client"), (403, "mfa_required"),
        (500, "access_denied"), (503, "server_error"), (429, "slow_down"), (200, "odd"),
    ):  # fmt: skip
        body = {"error": error, "error_description": WORDS}
        fake.token(body, status)
        refused(lambda: provider.refresh("old"))
        refused(lambda: provider.exchange_code("code", transaction()))
        fake.says("/oauth/revoke", lambda body=body: Reply(body, 400))  # type: ignore[misc]
        refused(lambda: provider.revoke("old"))
    assert len(lines(caplog)) == 7 * 3
