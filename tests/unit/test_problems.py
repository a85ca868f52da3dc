"""Errors of routing and of ours, as a program sees them."""

from __future__ import annotations

import pytest
from flask import Flask

from bff import problems
from bff.errors import MethodNotAllowed


@pytest.fixture
def app() -> Flask:
    app = Flask(__name__)
    problems.install(app)

    @app.post("/by-routing")
    def by_routing() -> str:
        return "ok"

    @app.get("/by-ourselves")
    def by_ourselves() -> str:
        raise MethodNotAllowed("no", allow=["PUT", "DELETE"])

    @app.get("/broken")
    def broken() -> str:
        raise RuntimeError("secret detail")

    return app


@pytest.mark.parametrize(
    ("path", "allow"), [("/by-routing", {"POST", "OPTIONS"}), ("/by-ourselves", {"PUT", "DELETE"})]
)
def test_a_405_says_what_is_allowed(app: Flask, path: str, allow: set[str]) -> None:
    """RFC 9110, 15.5.6."""
    answer = app.test_client().get(path)
    assert (answer.status_code, answer.get_json(force=True)["code"]) == (405, "method_not_allowed")
    assert set(answer.headers["Allow"].split(", ")) == allow


def test_an_unexpected_error_tells_nothing(app: Flask) -> None:
    answer = app.test_client().get("/broken")
    assert (answer.status_code, answer.get_json(force=True)["code"]) == (500, "internal_error")
    assert "secret detail" not in answer.text
    assert "RuntimeError" not in answer.text
