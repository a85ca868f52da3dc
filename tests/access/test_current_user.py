"""`bff.current_user` and `bff.access_token`, in views of the application's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import flask
import pytest

import bff
from tests.support.embedding import CROSS_SITE, SAME_ORIGIN, Embedding, embedding, marked
from tests.support.fixtures import AuditLines, MakeReceiver

__all__ = ["embedding"]

SAME_SITE = {"Sec-Fetch-Site": "same-site"}
ROUTES = """
[[route]]
prefix = "/api"
upstream = "http://127.0.0.1:9"
[[route]]
prefix = "/open"
upstream = "http://127.0.0.1:9"
token = "optional"
[[route]]
prefix = "/plain"
upstream = "http://127.0.0.1:9"
token = "none"
[[route]]
prefix = "/strong"
upstream = "http://127.0.0.1:9"
acr_values = ["strong"]
"""


def who() -> dict[str, Any]:
    user = bff.current_user()
    return {"user": user and [user.subject, dict(user.claims), user.issuer]}


def add(embedding: Embedding, view: Callable[[], Any], mark: str = "public_route") -> None:
    embedding.app.add_url_rule("/own", "own", marked(mark)(lambda: view()), methods=["POST"])


@pytest.mark.parametrize("mark", ["", "public_route", "signed_in"])
def test_the_user_is_that_of_the_session(embedding: Embedding, mark: str) -> None:
    add(embedding, who, mark)
    embedding.sign_in()
    issuer = embedding.receiver.config.issuer
    for _ in range(3):
        seen = embedding.call("/own").json
        assert seen == {"user": ["auth0|demo", {"email": "dana@example.com"}, issuer]}


def test_nobody_is_none_and_so_is_an_ended_session(embedding: Embedding) -> None:
    add(embedding, who)
    assert embedding.call("/own", headers=CROSS_SITE).json == {"user": None}
    embedding.sign_in()
    embedding.receiver.services.sessions.end_everyone("test", 5)
    assert embedding.call("/own").json == {"user": None}


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        (SAME_SITE, "cross_site"),
        (CROSS_SITE, "cross_site"),
        (SAME_ORIGIN | {"X-BFF-Session": "of-another"}, "session_changed"),
    ],
)
@pytest.mark.parametrize("call", [who, lambda: {"token": bff.access_token("/api")}])
def test_promise_8_a_refused_request_has_neither_user_nor_token(
    embedding: Embedding, headers: dict[str, str], code: str, call: Callable[[], Any]
) -> None:
    add(embedding, call)
    embedding.sign_in()
    response = embedding.call("/own", headers=headers)
    assert response.json and response.json["code"] == code


def test_a_view_can_not_change_the_cached_session(embedding: Embedding) -> None:
    def spoil() -> dict[str, Any]:
        user = bff.current_user()
        assert user
        before = str(user.claims)
        user.claims["roles"].append("admin")
        with pytest.raises(TypeError):
            user.claims["more"] = True  # type: ignore[index]
        return {"before": before}

    add(embedding, spoil)
    embedding.sign_in(claims={"roles": []})
    for _ in range(5):
        assert embedding.call("/own").json == {"before": "{'roles': []}"}


@pytest.fixture
def with_routes(receiver_for: MakeReceiver, tmp_path: Path) -> Embedding:
    """With a route of each kind."""
    file = tmp_path / "routes.toml"
    file.write_text(ROUTES)
    return Embedding(receiver_for(BFF_ROUTES_FILE=str(file), BFF_API_URL=""))


@pytest.mark.parametrize(
    ("route", "signed_in", "expected"),
    [
        ("/api", True, "access-1"),
        ("/api", False, "session_missing"),
        ("/open", True, "access-1"),
        ("/open", False, None),
        ("/plain", True, None),
        ("/strong", True, "insufficient_user_authentication"),
        ("/api/", True, "internal_error"),
        ("api", True, "internal_error"),
        ("/nowhere", True, "internal_error"),
    ],
)
def test_the_token_is_that_of_the_route(
    with_routes: Embedding, route: str, signed_in: bool, expected: str | None
) -> None:
    add(with_routes, lambda: {"code": bff.access_token(route)})
    if signed_in:
        with_routes.sign_in()
    answer = with_routes.call("/own").json
    assert answer and answer["code"] == expected


@pytest.mark.parametrize(
    "call",
    [who, lambda: {"t": bff.access_token("/api")}, lambda: {"t": bff.access_token("/plain")}],
)
def test_a_machine_route_has_neither(
    with_routes: Embedding, call: Callable[[], Any], audit_lines: AuditLines
) -> None:
    add(with_routes, call, "machine_route")
    with_routes.sign_in()
    assert with_routes.call("/own").status_code == 500
    assert audit_lines()[-1]["reason"] == "RuntimeError"


@pytest.mark.parametrize("call", [bff.current_user, lambda: bff.access_token("/api")])
def test_outside_of_a_request_and_of_the_application_both_raise(
    embedding: Embedding, call: Callable[[], object]
) -> None:
    with pytest.raises(RuntimeError):
        call()
    with embedding.app.app_context(), pytest.raises(RuntimeError):
        call()
    other = flask.Flask(__name__)
    with other.test_request_context(), pytest.raises(RuntimeError, match=r"bff\.create_app"):
        call()
