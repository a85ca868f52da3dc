"""`flask.session` in a route of the application's own: kept, or an exception."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import flask
import pytest
from flask import Response, stream_with_context

from bff.access.session_cookie import current
from bff.access.session_data import READS, WRITES, SessionData
from bff.core.errors import StoreUnavailable
from tests.support.embedding import SAME_ORIGIN, Embedding, embedding, marked
from tests.support.fixtures import AuditLines

__all__ = ["embedding"]

Write = Callable[[], object]
WRITES_OF_A_TEAM: dict[str, Write] = {
    "item": lambda: flask.session.__setitem__("n", flask.session.get("n", 0) + 1),
    "update": lambda: flask.session.update(n=flask.session.get("n", 0) + 1),
    "inside": lambda: flask.session.setdefault("list", []).append(1),
    "deep inside": lambda: flask.session.setdefault("a", {}).setdefault("b", []).append(1),
    "flash": lambda: flask.flash("saved", "info"),
    "merge": lambda: current().__ior__({"n": flask.session.get("n", 0) + 1}),
}


def add(embedding: Embedding, view: Callable[[], Any], mark: str = "", path: str = "/own") -> None:
    """A route of the team."""
    embedding.app.add_url_rule(path, path, marked(mark)(view), methods=["POST"])


def written(write: Write) -> Callable[[], dict[str, Any]]:
    def view() -> dict[str, Any]:
        write()
        return {**flask.session}

    return view


@pytest.mark.parametrize("mark", ["", "public_route", "signed_in"])
@pytest.mark.parametrize("way", WRITES_OF_A_TEAM)
def test_what_a_route_writes_is_there_at_the_next_request(
    embedding: Embedding, way: str, mark: str
) -> None:
    """At once: the session cache, which may be behind for a moment, is not asked."""
    add(embedding, written(WRITES_OF_A_TEAM[way]), mark)
    embedding.sign_in()
    seen = [embedding.call("/own").json for _ in range(4)]
    totals = [str(one).count("saved") + str(one).count("1") for one in seen]
    if way in ("item", "update", "merge"):
        assert [one and one["n"] for one in seen] == [1, 2, 3, 4]
    else:
        assert totals == [1, 2, 3, 4]


def test_what_is_taken_out_is_gone(embedding: Embedding) -> None:
    add(embedding, written(lambda: flask.session.update(a=1, b=2, c=3)))
    add(embedding, written(lambda: flask.session.pop("a")), path="/pop")
    add(embedding, written(lambda: flask.session.__delitem__("b")), path="/del")
    embedding.sign_in()
    embedding.call("/own")
    assert embedding.call("/pop").json == {"b": 2, "c": 3}
    assert embedding.call("/del").json == {"c": 3}


def test_requests_at_the_same_time_keep_what_each_other_wrote(embedding: Embedding) -> None:
    both = threading.Barrier(2)

    def view(name: str) -> str:
        flask.session[name] = "written"
        both.wait(timeout=10)
        return name

    embedding.app.post("/own/<name>")(view)
    add(embedding, lambda: {**flask.session}, path="/read")
    embedding.sign_in()
    threads = [
        threading.Thread(target=embedding.call, args=(f"/own/{name}",))
        for name in ("cart", "flash")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert embedding.call("/read").json == {"cart": "written", "flash": "written"}


@pytest.mark.parametrize("mark", ["", "public_route"])
@pytest.mark.parametrize("way", WRITES_OF_A_TEAM)
def test_without_a_session_a_write_is_refused(embedding: Embedding, way: str, mark: str) -> None:
    add(embedding, written(WRITES_OF_A_TEAM[way]), mark)
    response = embedding.call("/own")
    assert (response.status_code, response.json and response.json["code"]) == (
        401, "session_missing",
    )  # fmt: skip


def test_without_a_session_there_is_nothing_to_read(embedding: Embedding) -> None:
    add(embedding, lambda: {"seen": flask.session.get("n"), "all": dict(flask.session)})
    assert embedding.call("/own").json == {"seen": None, "all": {}}


def test_an_ended_session_is_none(embedding: Embedding) -> None:
    add(embedding, written(lambda: flask.session.get("n")))
    add(embedding, written(lambda: flask.session.update(n=1)), path="/write")
    embedding.sign_in()
    embedding.receiver.services.sessions.end_everyone("test", 5)
    assert embedding.call("/own").json == {}
    assert embedding.call("/write").status_code == 401


@pytest.mark.parametrize(
    "value",
    [
        datetime.datetime(2026, 1, 1), Decimal("1.5"), b"bytes", {1: "number as name"},
        float("nan"), {"a"}, {"deep": [{"in": (1, b"x")}]},
    ],
    ids=repr,
)  # fmt: skip
def test_what_would_be_read_as_something_else_raises(
    embedding: Embedding, value: object, audit_lines: AuditLines
) -> None:
    add(embedding, written(lambda: flask.session.update(ok=1, value=value)))
    add(embedding, lambda: {**flask.session}, path="/read")
    embedding.sign_in()
    assert embedding.call("/own").status_code == 500
    assert audit_lines()[-1]["reason"] == "TypeError"
    assert embedding.call("/read").json == {}


def test_a_write_after_the_response_began_raises(embedding: Embedding) -> None:
    raised: list[str] = []

    def view() -> Response:
        def body() -> Any:
            try:
                flask.session["late"] = True
            except RuntimeError as error:
                raised.append(str(error))
            yield "streamed"

        return Response(stream_with_context(body()))

    add(embedding, view)
    embedding.sign_in()
    assert embedding.call("/own").text == "streamed"
    assert len(raised) == 1 and "after the response" in raised[0]


@pytest.mark.parametrize("mark", ["", "signed_in", "public_route"])
@pytest.mark.parametrize("reads", [True, False], ids=["read before", "not before"])
@pytest.mark.parametrize("writes", [True, False], ids=["written before", "not written"])
def test_a_streamed_response_reads_what_is_there(
    embedding: Embedding, mark: str, reads: bool, writes: bool
) -> None:
    """Also if that is the first use: it was empty then, without a word."""

    def view() -> Response:
        if reads:
            flask.session.get("n")
        if writes:
            flask.session["n"] = 2
        return Response(stream_with_context(str(flask.session.get("n")) for _ in range(2)))

    add(embedding, written(lambda: flask.session.update(n=1)), path="/write")
    add(embedding, view, mark)
    embedding.sign_in()
    embedding.call("/write")
    assert embedding.call("/own").text == ("22" if writes else "11")
    assert embedding.new_browser().post("/own", headers=SAME_ORIGIN).status_code == (
        401 if writes or mark == "signed_in" else 200
    )


def test_functions_around_all_requests_can_write_too(embedding: Embedding) -> None:
    """At a route of ours, where nothing else reads the session."""

    @embedding.app.before_request
    def count() -> None:
        flask.session["n"] = flask.session.get("n", 0) + 1

    add(embedding, lambda: {**flask.session}, path="/own")
    embedding.sign_in()
    for _ in range(3):
        assert embedding.call("/auth/profile", "GET").status_code == 200
    assert embedding.call("/own").json == {"n": 4}


def test_an_outage_of_redis_is_no_empty_session(embedding: Embedding) -> None:
    add(embedding, written(lambda: flask.session.get("n")), "public_route")
    embedding.sign_in()
    stores = embedding.receiver.services.stores
    stores.records.load = _away  # type: ignore[method-assign]
    assert embedding.call("/own").status_code == 503


@pytest.mark.parametrize(
    ("error", "code"), [(StoreUnavailable(), (503, "store_unavailable")),
                        (KeyError(), (500, "internal_error"))],
)  # fmt: skip
def test_a_failure_after_the_view_is_told_as_what_it_is(
    embedding: Embedding, error: Exception, code: tuple[int, str]
) -> None:
    def fail(_: Response) -> Response:
        raise error

    embedding.app.after_request(fail)
    response = embedding.call("/healthz", "GET")
    assert (response.status_code, response.json and response.json["code"]) == code


def _away(*_: object, **__: object) -> Any:
    raise StoreUnavailable("away")


def test_no_method_of_a_dictionary_goes_past_the_first_use() -> None:
    """A new Python may add one."""
    of_any_object = {*dir(object), "__class_getitem__", "fromkeys", "__ge__", "__gt__", "__le__",
                     "__lt__"}  # fmt: skip
    own = {name for name in dir(dict) if name not in of_any_object} | {"__eq__", "__ne__"}
    assert own | {"__repr__"} == {*READS, *WRITES}
    assert all(name in vars(SessionData) for name in own)
