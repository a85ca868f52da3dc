"""Routes of the application's own: guarded as ours are, unless they are marked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flask
import pytest
from flask import Blueprint
from flask.views import MethodView

import bff
from bff.access.own_routes import added_paths
from tests.support.embedding import (
    CROSS_SITE,
    SAME_ORIGIN,
    Embedding,
    MakeApplication,
    application_for,
    bff_receiver,
    embedding,
    marked,
)
from tests.support.fixtures import AuditLines

__all__ = ["application_for", "bff_receiver", "embedding"]

SAME_SITE = {"Sec-Fetch-Site": "same-site"}
PROGRAM: dict[str, str] = {}


@pytest.mark.parametrize(
    ("mark", "headers", "signed_in", "status"),
    [
        ("", SAME_ORIGIN, True, 200),
        ("", SAME_ORIGIN, False, 200),
        ("", CROSS_SITE, True, 403),
        ("", CROSS_SITE, False, 403),
        ("", SAME_SITE, True, 403),
        ("", PROGRAM, False, 403),
        ("signed_in", SAME_ORIGIN, True, 200),
        ("signed_in", SAME_ORIGIN, False, 401),
        ("signed_in", CROSS_SITE, True, 403),
        ("signed_in", SAME_ORIGIN | {"X-BFF-Session": "another"}, True, 409),
        ("public_route", CROSS_SITE, True, 200),
        ("public_route", PROGRAM, False, 200),
        ("machine_route", CROSS_SITE, True, 200),
        ("machine_route", PROGRAM, False, 200),
    ],
)
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_promise_8_who_may_call(
    embedding: Embedding, method: str, mark: str, headers: dict[str, str], signed_in: bool,
    status: int,
) -> None:  # fmt: skip
    calls: list[str] = []

    def own() -> str:
        calls.append("own")
        return "own"

    embedding.app.add_url_rule("/own", view_func=marked(mark)(own), methods=[method])
    if signed_in:
        embedding.sign_in()
    assert embedding.call("/own", method, headers=headers).status_code == status
    assert len(calls) == (status == 200)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "PURGE"])
def test_promise_8_another_site_reaches_no_method(embedding: Embedding, method: str) -> None:
    embedding.app.add_url_rule("/own", view_func=lambda: "own", methods=[method])
    embedding.sign_in()
    assert embedding.call("/own", method, headers=CROSS_SITE).status_code == 403


USES: dict[str, Callable[[], object]] = {
    "read": lambda: flask.session.get("n"),
    "write": lambda: flask.session.update(n=1),
    "truth": lambda: bool(flask.session),
    "is in": lambda: "n" in flask.session,
    "all": lambda: dict(flask.session),
    "clear": lambda: flask.session.clear(),
    "permanent": lambda: flask.session.permanent,
}


def use(way: str) -> Callable[[], str]:
    """A view that only does that."""
    return lambda: str(USES[way]())


@pytest.mark.parametrize("signed_in", [True, False])
@pytest.mark.parametrize("way", USES)
def test_a_machine_route_that_touches_the_session_raises(
    embedding: Embedding, way: str, signed_in: bool, audit_lines: AuditLines
) -> None:
    embedding.app.add_url_rule("/own", "own", marked("machine_route")(use(way)), methods=["POST"])
    if signed_in:
        embedding.sign_in()
    assert embedding.call("/own").status_code == 500
    assert audit_lines()[-1]["reason"] == "RuntimeError"


@pytest.mark.parametrize("way", ["read", "write"])
def test_promise_8_another_site_gets_nothing_of_the_session_by_a_public_route(
    embedding: Embedding, way: str
) -> None:
    embedding.app.add_url_rule("/own", "own", marked("public_route")(use(way)), methods=["POST"])
    embedding.sign_in()
    assert embedding.call("/own", headers=SAME_SITE).status_code == 403


# ---------------------------------------------------------------- marks in every place
@pytest.mark.parametrize(
    ("mark", "headers", "status"),
    [("signed_in", SAME_ORIGIN, 401), ("public_route", CROSS_SITE, 200)],
)
def test_a_mark_above_the_route_counts_as_well(
    embedding: Embedding, mark: str, headers: dict[str, str], status: int
) -> None:
    @embedding.app.post("/own")
    def own() -> str:
        return "own"

    marked(mark)(own)  # As if it stood above the other decorator.

    assert embedding.call("/own", headers=headers).status_code == status


def test_a_wrapper_that_hides_the_mark_leaves_the_route_guarded(embedding: Embedding) -> None:
    @bff.public_route
    def view() -> str:
        return "own"

    embedding.app.add_url_rule("/own", "own", lambda: view(), methods=["POST"])
    assert embedding.call("/own", headers=CROSS_SITE).status_code == 403


def test_methods_of_a_class_can_require_a_session(embedding: Embedding) -> None:
    class Own(MethodView):
        @bff.signed_in
        def post(self) -> str:
            return "own"

    embedding.app.add_url_rule("/own", view_func=Own.as_view("own"))
    assert embedding.call("/own").status_code == 401
    embedding.sign_in()
    assert embedding.call("/own").text == "own"
    assert embedding.call("/own", headers=CROSS_SITE).status_code == 403


@pytest.mark.parametrize("thing", [MethodView, "/own", None, Blueprint("own", __name__)])
@pytest.mark.parametrize("mark", ["signed_in", "public_route", "machine_route"])
def test_only_functions_are_marked(mark: str, thing: Any) -> None:
    with pytest.raises(TypeError):
        marked(mark)(thing)


def test_a_route_has_one_mark() -> None:
    with pytest.raises(TypeError, match="marked as"):
        bff.public_route(bff.machine_route(lambda: "own"))
    with pytest.raises(TypeError, match="marked as"):
        bff.machine_route(bff.signed_in(lambda: "own"))


def test_a_mark_outside_of_the_application_raises() -> None:
    other = flask.Flask(__name__)
    other.add_url_rule("/own", "own", bff.signed_in(lambda: "own"))
    other.testing = True
    with pytest.raises(RuntimeError, match=r"bff\.create_app"):
        other.test_client().get("/own")


# ---------------------------------------------------------------- blueprints, and their addresses
def blueprint(rule: str, methods: list[str]) -> Blueprint:
    made = Blueprint("team", __name__)
    made.add_url_rule(rule, "own", lambda **_: "own", methods=methods)
    return made


def test_blueprints_are_guarded_and_have_one_spelling(application_for: MakeApplication) -> None:
    app = application_for(blueprints=[blueprint("/own", ["GET", "POST"])])
    client = app.test_client()
    assert client.get("/own", headers=SAME_ORIGIN).text == "own"
    assert client.post("/own", headers=CROSS_SITE).status_code == 403
    for spelling in ("//own", "/own/", "/%6fwn/../own"):
        assert client.get(spelling, headers=SAME_ORIGIN).status_code in (400, 404)


@pytest.mark.parametrize(
    "rule",
    ["/api", "/api/", "/api/own", "/api/<path:rest>", "/auth/own", "/auth", "/healthz", "/",
     "/<path:everything>", "/readyz"],
)  # fmt: skip
def test_a_route_that_requests_would_never_reach_raises(embedding: Embedding, rule: str) -> None:
    with pytest.raises(ValueError, match=f"^{rule}: "):
        embedding.app.register_blueprint(blueprint(rule, ["GET"]))


def test_a_rule_without_a_view_is_a_route_too(embedding: Embedding) -> None:
    """Flask allows one that `url_for` alone uses, and a view that comes later."""
    embedding.app.add_url_rule("/cdn/<path:name>", endpoint="cdn", build_only=True)
    embedding.app.add_url_rule("/later", endpoint="later")
    assert {"/cdn", "/later"} <= set(added_paths(embedding.app))


def test_other_methods_of_an_address_are_free(embedding: Embedding) -> None:
    embedding.app.register_blueprint(blueprint("/", ["POST"]))
    assert embedding.call("/").text == "own"
    assert embedding.call("/", "GET", headers={"Accept": "text/html"}).status_code == 200
