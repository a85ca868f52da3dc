"""The body of a message is read completely, up to its limit, or refused."""

from __future__ import annotations

import io
from typing import Any

import pytest
from flask import Flask

from bff.core.errors import BodyTooLarge, RequestRefused
from bff.machine_api.messages import json_response, read_body

LIMIT_BYTES = 100_000
"""More than Werkzeug reads at once."""
CHUNKED: dict[str, Any] = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}


def read(body: bytes, content_type: str = "application/jwt", **environ: Any) -> bytes:
    environ = {"wsgi.input": io.BytesIO(body), "CONTENT_TYPE": content_type} | environ
    with Flask(__name__).test_request_context(method="POST", environ_overrides=environ):
        return read_body("application/jwt", "text/plain", max_bytes=LIMIT_BYTES)


def announced(length: int, **more: Any) -> dict[str, Any]:
    return {"CONTENT_LENGTH": str(length)} | more


@pytest.mark.parametrize("length", [0, 1, LIMIT_BYTES])
def test_a_body_up_to_the_limit_is_read(length: int) -> None:
    body = b"x" * length
    assert read(body, **announced(length)) == body
    assert read(body, **announced(length, **{"wsgi.input_terminated": True})) == body
    assert read(body, **CHUNKED) == body


@pytest.mark.parametrize("length", [LIMIT_BYTES + 1, LIMIT_BYTES + 2, 10 * LIMIT_BYTES])
def test_a_larger_body_is_refused_and_not_cut(length: int) -> None:
    body = b"x" * length
    for environ in (announced(length), CHUNKED):
        with pytest.raises(BodyTooLarge):
            read(body, **environ)


def test_an_announced_length_is_enough_to_refuse() -> None:
    class NotToBeRead(io.BytesIO):
        def read(self, *_: Any) -> bytes:
            raise AssertionError("read")

    with pytest.raises(BodyTooLarge):
        read(b"", **announced(LIMIT_BYTES + 2, **{"wsgi.input": NotToBeRead()}))


def test_an_incomplete_body_is_refused() -> None:
    terminated: dict[str, Any] = {"wsgi.input_terminated": True}
    for more in ({}, terminated):
        with pytest.raises(RequestRefused):
            read(b"half", **announced(8, **more))


@pytest.mark.parametrize("content_type", ["", "application/json", "application/jwtx", "x"])
def test_another_type_is_refused(content_type: str) -> None:
    with pytest.raises(RequestRefused):
        read(b"x", content_type, **announced(1))


def test_parameters_and_case_of_the_type_don_t_matter() -> None:
    assert read(b"x", "Text/Plain; charset=utf-8", **announced(1)) == b"x"


def test_responses_are_json_and_not_stored() -> None:
    response = json_response(503, {"a": 1}, retry_after_seconds=7)
    assert (response.status_code, response.get_json()) == (503, {"a": 1})
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["Retry-After"] == "7"
    assert json_response(202).data == b""
