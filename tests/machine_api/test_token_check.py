"""The responses of `/auth/check-token`, without a gateway."""

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
def valid(bff: Receiver) -> str:
    return access_token(bff, scope="read:items write:items a!#$%&")


@pytest.mark.parametrize("scope", [None, "", "read:items", "write:items read:items", "a!#$%&"])
def test_a_valid_token_is_204_and_never_stored(
    bff: Receiver, valid: str, scope: str | None
) -> None:
    response = check(bff, valid, scope)
    assert (response.status_code, response.data) == (204, b"")
    assert response.headers["Cache-Control"] == "no-store"
    assert "Set-Cookie" not in response.headers


def test_refusals_are_not_stored_and_name_the_needed_scope(bff: Receiver, valid: str) -> None:
    assert_problem(check(bff, None), 401, "token_missing")
    assert_problem(check(bff, access_token(bff, exp=int(time.time()) - 1)), 401, "invalid_token")
    response = check(bff, valid, "read:items delete:items")
    assert_problem(response, 403, "insufficient_scope")
    assert response.headers["WWW-Authenticate"].endswith('scope="read:items delete:items"')


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
def test_a_malformed_scope_is_refused_and_is_in_no_header(
    bff: Receiver, valid: str, scope: str
) -> None:
    response = check(bff, valid, scope)
    assert_problem(response, 400, "request_refused")
    assert "WWW-Authenticate" not in response.headers
    assert "X-Evil" not in response.headers
