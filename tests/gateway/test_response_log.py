"""Each response gets one line, when it ends, with nothing of the address but its route."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import Client

from bff.gateway.response_log import log as responses
from bff.gateway.response_log import logged, note_broken_off, upstream_wait
from bff.gateway.unrouted import FlaskWithUnroutedRequests

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Lines:
    caplog.set_level(logging.INFO, responses.name)
    return lambda: [r.__dict__["fields"] for r in caplog.records if r.name == responses.name]


@pytest.fixture
def app() -> Flask:
    app = FlaskWithUnroutedRequests(__name__, static_folder=None, logs_responses=True)

    @app.get("/orders/<number>")
    def order(number: str) -> str:
        return f"order {number}"

    @app.get("/healthz")
    @app.get("/readyz")
    def health() -> tuple[str, int]:
        return "", 200 if app.config.get("HEALTHY", True) else 503

    @app.get("/stream")
    def stream() -> Iterator[bytes]:
        yield from (b"one", b"two")

    @app.get("/bug")
    def bug() -> str:
        raise ValueError

    return app


def ask(app: Flask, path: str, method: str = "GET") -> None:
    """Send a request, and read the response to its end."""
    with app.test_client().open(path, method=method) as response:
        response.get_data()


def test_it_has_the_route_and_neither_path_nor_query(app: Flask, lines: Lines) -> None:
    ask(app, "/orders/alice@example.com?code=secret")
    [line] = lines()
    assert "alice" not in str(line)
    assert "secret" not in str(line)
    assert 0 <= line.pop("milliseconds") < 5000
    assert line == {
        "method": "GET", "route": "/orders/<number>", "status": 200, "bytes": 23, "complete": True,
        "upstream_milliseconds": None, "request_id": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/nothing", ("GET", None, 404)),
        ("POST", "/orders/1", ("POST", None, 405)),
        ("HEAD", "/orders/1", ("HEAD", "/orders/<number>", 200)),
        ("X" * 90, "/orders/1", ("X" * 20, None, 405)),
    ],
)
def test_each_response_has_one(
    app: Flask, lines: Lines, method: str, path: str, expected: tuple[object, ...]
) -> None:
    ask(app, path, method)
    assert [(line["method"], line["route"], line["status"]) for line in lines()] == [expected]


def test_health_checks_have_one_if_they_fail(app: Flask, lines: Lines) -> None:
    for path in ("/healthz", "/readyz"):
        ask(app, path)
    assert lines() == []
    app.config["HEALTHY"] = False
    ask(app, "/readyz")
    assert [line["status"] for line in lines()] == [503]


def test_a_stream_has_one_when_it_ends(app: Flask, lines: Lines) -> None:
    response = Client(app).get("/stream", buffered=False)
    pieces = response.iter_encoded()
    assert next(pieces) == b"one"
    assert lines() == []
    assert list(pieces) == [b"two"]
    response.close()
    [line] = lines()
    assert (line["bytes"], line["complete"], line["route"]) == (6, True, "/stream")


def test_a_stream_that_the_client_leaves_is_incomplete(app: Flask, lines: Lines) -> None:
    response = Client(app).get("/stream", buffered=False)
    next(response.iter_encoded())
    response.close()
    [line] = lines()
    assert (line["bytes"], line["complete"]) == (3, False)


def test_a_stream_that_fails_or_is_broken_off_is_incomplete(lines: Lines) -> None:
    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [])
        yield b"one"
        if environ["PATH_INFO"] == "/fails":
            raise ValueError
        note_broken_off(environ)

    for path in ("/fails", "/broken"):
        environ = {"REQUEST_METHOD": "GET", "PATH_INFO": path}
        body = iter(logged(application, environ, lambda *_: bytes))
        assert next(body) == b"one"
        with pytest.raises((ValueError, StopIteration)):
            next(body)
    assert [(line["status"], line["complete"]) for line in lines()] == [(200, False)] * 2


def test_a_fault_of_ours_has_one(app: Flask, lines: Lines) -> None:
    app.config["PROPAGATE_EXCEPTIONS"] = True
    with pytest.raises(ValueError):
        ask(app, "/bug")
    assert [(line["status"], line["complete"]) for line in lines()] == [(500, False)]


def test_it_is_off_unless_it_is_switched_on(lines: Lines) -> None:
    ask(FlaskWithUnroutedRequests(__name__, static_folder=None), "/orders/1")
    assert lines() == []
    with upstream_wait({}) as waiting:
        assert waiting is None
