"""The JSON and the headers of an error response (RFC 9457)."""

from __future__ import annotations

from flask import Response

from bff.core.errors import NotFound, Overloaded
from bff.core.problem import problem_response, set_headers


def test_the_body_has_the_public_members_and_not_the_detail() -> None:
    response = problem_response(NotFound("detail"), "0123", login_url="/auth/login")
    assert (response.status_code, response.content_type) == (404, "application/problem+json")
    assert response.data == (
        b'{"type": "about:blank", "title": "There is no such page.", "status": 404, '
        b'"code": "not_found", "detail": "Check the address.", "reference": "0123", '
        b'"login_url": "/auth/login"}'
    )


def test_every_error_response_is_not_stored() -> None:
    response = Response()
    set_headers(response, NotFound())
    assert response.headers["Cache-Control"] == "no-store"
    assert not {"Retry-After", "WWW-Authenticate"} & set(response.headers.keys())


def test_a_delay_and_a_challenge_become_headers() -> None:
    response = Response()
    set_headers(response, Overloaded(), 'Bearer realm="r"')
    assert response.headers["Retry-After"] == "1"
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="r"'
