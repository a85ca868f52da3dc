"""Which parts of Flask does a request that bypasses the router get?"""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO

import flask
import pytest
from blinker import NamedSignal
from flask import Response, request
from flask.testing import FlaskClient
from werkzeug.datastructures import FileStorage
from werkzeug.wrappers import Response as Answer

from bff.config import load
from bff.config.route import Route
from bff.core.errors import SessionMissing
from bff.gateway.route_access import RouteAccess
from bff.gateway.unrouted import FlaskWithUnroutedRequests
from tests.gateway.app import DEFAULTS, add_proxy
from tests.support.processes import free_port


class NoAccess(RouteAccess):
    """Refuses every request, and records how Flask names it."""

    def __init__(self, called: list[str]) -> None:
        self.called = called

    def access_token(self, route: Route) -> str | None:
        self.called.append(f"{request.endpoint} of {request.blueprint} at {request.url_rule}")
        flask.session["seen"] = flask.session.get("seen", 0) + 1
        raise SessionMissing("for this test")


class RecordingApp:
    """An application with a route to an unreachable upstream; records what Flask calls."""

    def __init__(self) -> None:
        self.called: list[str] = []
        self.app = FlaskWithUnroutedRequests(__name__, static_folder=None)
        self.app.secret_key = "k"
        self.fails: Exception | None = None
        self.app.before_request(lambda: self.called.append("before"))
        self.app.after_request(self.after)
        self.app.teardown_request(lambda _: self.called.append("teardown"))
        self.app.register_error_handler(Exception, self.refused)
        away = f"http://127.0.0.1:{free_port()}"
        add_proxy(self.app, load(DEFAULTS | {"BFF_API_URL": away}), NoAccess(self.called))
        self.app.get("/page")(lambda: "page")
        self.client: FlaskClient = self.app.test_client()

    def after(self, response: Response) -> Response:
        """Runs for errors, too; fails once if the test wants it."""
        self.called.append("after")
        fails, self.fails = self.fails, None
        if fails is not None:
            raise fails
        return response

    def refused(self, error: Exception) -> Answer:
        """The handler of all errors."""
        return Response(type(error).__name__, 418)


@pytest.fixture
def recording() -> Iterator[RecordingApp]:
    """A new application for each test."""
    yield RecordingApp()


def test_it_gets_everything_but_before_request(recording: RecordingApp) -> None:
    response = recording.client.get("/api/x")
    assert (response.status_code, response.text) == (418, "SessionMissing")
    assert recording.called == ["proxy.forward of proxy at /api", "after", "teardown"]


@pytest.mark.parametrize("ends", [flask.request_tearing_down, flask.appcontext_tearing_down])
def test_its_end_is_told_to_receivers_of_flasks_signals(
    recording: RecordingApp, ends: NamedSignal
) -> None:
    with ends.connected_to(lambda _, **__: recording.called.append("told"), recording.app):
        recording.client.get("/api/x")
    assert recording.called[-1] == "told"


def test_its_end_is_told_to_functions_of_the_application_context(recording: RecordingApp) -> None:
    recording.app.teardown_appcontext(lambda _: recording.called.append("context"))
    recording.client.get("/api/x")
    assert recording.called[-2:] == ["teardown", "context"]


def test_the_files_of_a_form_are_closed(recording: RecordingApp) -> None:
    files: list[FileStorage] = []

    @recording.app.post("/upload")
    def upload() -> str:
        files.append(flask.request.files["one"])
        return ""

    recording.client.post("/upload", data={"one": (BytesIO(b"bytes"), "name.txt")})
    assert [one.closed for one in files] == [True]


def test_flasks_session_is_read_and_written(recording: RecordingApp) -> None:
    recording.client.get("/api/x")
    recording.client.get("/api/x")
    with recording.client.session_transaction() as session:
        assert session["seen"] == 2


def test_a_failure_after_the_response_is_handled_too(recording: RecordingApp) -> None:
    recording.fails = RuntimeError("the session can't be written")
    response = recording.client.get("/api/x")
    assert (response.status_code, response.text) == (418, "RuntimeError")
    assert recording.called[1:] == ["after", "after", "teardown"]


def test_all_other_requests_go_through_the_router(recording: RecordingApp) -> None:
    assert recording.client.get("/page").text == "page"
    assert recording.called == ["before", "after", "teardown"]


def test_nested_requests_are_not_mixed_up(recording: RecordingApp) -> None:
    """A view that calls the API within its request, as an extension may, keeps its own context."""

    @recording.app.get("/outer")
    def outer() -> str:
        recording.app.test_client().get("/api/x")
        return f"{request.endpoint}"

    assert recording.client.get("/outer").text == "outer"
