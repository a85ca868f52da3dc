"""What does a request that the router doesn't see get of Flask?"""

from __future__ import annotations

from collections.abc import Iterator

import flask
import pytest
from flask import Response, request
from flask.testing import FlaskClient
from werkzeug.wrappers import Response as Answer

from bff.config import load
from bff.config.route import Route
from bff.core.errors import SessionMissing
from bff.gateway.route_access import RouteAccess
from bff.gateway.unrouted import FlaskWithUnroutedRequests
from tests.gateway.app import DEFAULTS, add_proxy
from tests.support.processes import free_port


class NoAccess(RouteAccess):
    """Refuses every request, and notes how Flask names it."""

    def __init__(self, diary: list[str]) -> None:
        self.diary = diary

    def access_token(self, route: Route) -> str | None:
        self.diary.append(f"{request.endpoint} of {request.blueprint} at {request.url_rule}")
        flask.session["seen"] = flask.session.get("seen", 0) + 1
        raise SessionMissing("nobody")


class House:
    """An application with a route whose upstream is away, and a diary of what Flask called."""

    def __init__(self) -> None:
        self.diary: list[str] = []
        self.app = FlaskWithUnroutedRequests(__name__, static_folder=None)
        self.app.secret_key = "k"
        self.fails: Exception | None = None
        self.app.before_request(lambda: self.diary.append("before"))
        self.app.after_request(self.after)
        self.app.teardown_request(lambda _: self.diary.append("teardown"))
        self.app.register_error_handler(Exception, self.refused)
        away = f"http://127.0.0.1:{free_port()}"
        add_proxy(self.app, load(DEFAULTS | {"BFF_API_URL": away}), NoAccess(self.diary))
        self.app.get("/page")(lambda: "page")
        self.client: FlaskClient = self.app.test_client()

    def after(self, response: Response) -> Response:
        """Runs for errors too; fails once if it is to."""
        self.diary.append("after")
        fails, self.fails = self.fails, None
        if fails is not None:
            raise fails
        return response

    def refused(self, error: Exception) -> Answer:
        """Answers every error."""
        return Response(type(error).__name__, 418)


@pytest.fixture
def house() -> Iterator[House]:
    """A new one, whose hooks nobody else sees."""
    yield House()


def test_it_gets_everything_but_before_request(house: House) -> None:
    answer = house.client.get("/api/x")
    assert (answer.status_code, answer.text) == (418, "SessionMissing")
    assert house.diary == ["proxy.forward of proxy at /api", "after", "teardown"]


def test_flasks_session_is_read_and_written(house: House) -> None:
    house.client.get("/api/x")
    house.client.get("/api/x")
    with house.client.session_transaction() as session:
        assert session["seen"] == 2


def test_what_fails_after_the_answer_is_answered_too(house: House) -> None:
    house.fails = RuntimeError("the session can't be written")
    answer = house.client.get("/api/x")
    assert (answer.status_code, answer.text) == (418, "RuntimeError")
    assert house.diary[1:] == ["after", "after", "teardown"]


def test_all_others_take_the_usual_way(house: House) -> None:
    assert house.client.get("/page").text == "page"
    assert house.diary == ["before", "after", "teardown"]


def test_two_at_once_are_not_mixed_up(house: House) -> None:
    """A page that asks the API inside its own request, as an extension may, keeps its own."""

    @house.app.get("/outer")
    def outer() -> str:
        house.app.test_client().get("/api/x")
        return f"{request.endpoint}"

    assert house.client.get("/outer").text == "outer"
