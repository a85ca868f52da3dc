"""What a gateway is answered at `/auth/check-token`, before any gateway is in between."""

from __future__ import annotations

import time
from urllib.parse import quote

import pytest
from werkzeug.test import TestResponse

from tests.support.admin_calls import access_token, ask, assert_problem
from tests.support.receiver import Receiver

PATH = "/auth/check-token"


def check(bff: Receiver, token: str | None, scope: str | None = None) -> TestResponse:
    query = "" if scope is None else f"?scope={quote(scope, safe='')}"
    return ask(bff, "GET", PATH + query, key=token)


@pytest.fixture
def living(bff: Receiver) -> str:
    return access_token(bff, scope="read:items write:items a!#$%&")


@pytest.mark.parametrize("scope", [None, "", "read:items", "write:items read:items", "a!#$%&"])
def test_a_living_token_is_204_and_never_stored(
    bff: Receiver, living: str, scope: str | None
) -> None:
    answer = check(bff, living, scope)
    assert (answer.status_code, answer.data) == (204, b"")
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Set-Cookie" not in answer.headers


def test_refusals_are_not_stored_and_say_what_is_needed(bff: Receiver, living: str) -> None:
    assert_problem(check(bff, None), 401, "token_missing")
    assert_problem(check(bff, access_token(bff, exp=int(time.time()) - 1)), 401, "invalid_token")
    answer = check(bff, living, "read:items delete:items")
    assert_problem(answer, 403, "insufficient_scope")
    assert answer.headers["WWW-Authenticate"].endswith('scope="read:items delete:items"')


BAD_SCOPES = [
    " ",
    "a ",
    " a",
    "a  b",
    'a"b',
    "a\\b",
    "a\r\nX-Evil: 1",
    "a\x00",
    "é",
    "a\tb",
    "x" * 1001,
]


@pytest.mark.parametrize("scope", BAD_SCOPES, ids=ascii)
def test_a_scope_that_is_none_is_refused_and_stands_in_no_header(
    bff: Receiver, living: str, scope: str
) -> None:
    answer = check(bff, living, scope)
    assert_problem(answer, 400, "request_refused")
    assert "WWW-Authenticate" not in answer.headers
    assert "X-Evil" not in answer.headers
