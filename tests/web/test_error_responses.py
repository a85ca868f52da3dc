"""The responses for errors, our own and those of the routing."""

from __future__ import annotations

import pytest
from flask import Flask

from bff.config import load
from bff.core.errors import MethodNotAllowed, StepUpRequired
from bff.web import error_responses

SETTINGS = {
    "OIDC_ISSUER": "https://issuer.test/", "AUTH0_CLIENT_ID": "client",
    "AUTH0_CLIENT_SECRET": "not used here", "AUTH0_SECRET": "0123456789abcdef0123456789abcdef",
    "APP_BASE_URL": "https://app.test", "BFF_API_URL": "http://api.test",
}  # fmt: skip


@pytest.fixture
def app() -> Flask:
    app = Flask(__name__)
    error_responses.register(app, load(SETTINGS, env_file=None))

    @app.post("/by-routing")
    def by_routing() -> str:
        return "ok"

    @app.get("/by-ourselves")
    def by_ourselves() -> str:
        raise MethodNotAllowed("no", allow=["PUT", "DELETE"])

    @app.get("/broken")
    def broken() -> str:
        raise RuntimeError("secret detail")

    @app.get("/api/transfer")
    def too_weak() -> str:
        raise StepUpRequired("no", acr_values='urn:a "b"', max_age_seconds=0)

    @app.get("/api/unnamed")
    def too_weak_somehow() -> str:
        raise StepUpRequired

    return app


@pytest.mark.parametrize(
    ("path", "allow"), [("/by-routing", {"POST", "OPTIONS"}), ("/by-ourselves", {"PUT", "DELETE"})]
)
def test_a_405_says_what_is_allowed(app: Flask, path: str, allow: set[str]) -> None:
    """RFC 9110, 15.5.6."""
    response = app.test_client().get(path)
    assert (response.status_code, response.get_json(force=True)["code"]) == (
        405,
        "method_not_allowed",
    )
    assert set(response.headers["Allow"].split(", ")) == allow


def test_an_unexpected_error_reveals_nothing(app: Flask) -> None:
    response = app.test_client().get("/broken")
    assert (response.status_code, response.get_json(force=True)["code"]) == (500, "internal_error")
    assert "secret detail" not in response.text
    assert "RuntimeError" not in response.text


LOGIN_URL = "/auth/login?acr_values=urn%3Aa+%22b%22&max_age=0"
PAGE = {"Sec-Fetch-Dest": "document"}


def test_a_step_up_names_the_sign_in_that_suffices(app: Flask) -> None:
    """RFC 9470, section 3; the text of the challenge is quoted (RFC 9110, 5.6.4)."""
    response = app.test_client().get("/api/transfer", headers={"Sec-Fetch-Dest": "empty"})
    problem = response.get_json(force=True)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == (
        'Bearer error="insufficient_user_authentication", acr_values="urn:a \\"b\\"", max_age="0"'
    )
    assert problem["code"] == "insufficient_user_authentication"
    assert problem["login_url"] == LOGIN_URL
    assert (problem["acr_values"], problem["max_age"]) == ('urn:a "b"', 0)


def test_a_step_up_without_demands_asks_for_a_new_sign_in(app: Flask) -> None:
    problem = app.test_client().get("/api/unnamed").get_json(force=True)
    assert problem["login_url"] == "/auth/login?max_age=0"
    assert not {"acr_values", "max_age"} & set(problem)


@pytest.mark.parametrize(
    ("referrer", "return_to"),
    [
        ("https://app.test/orders?n=1&x=%26", "&returnTo=%2Forders%3Fn%3D1%26x%3D%2526"),
        ("https://app.test", "&returnTo=%2F"),
        ("https://app.test/auth/logout", ""),
        ("https://app.test/api/transfer", ""),
        ("https://app.test.evil/orders", ""),
        ("http://app.test/orders", ""),
        ("https://evil.test/", ""),
        ("", ""),
    ],
)
def test_a_navigation_gets_a_page_with_a_link_to_the_sign_in_and_back(
    app: Flask, referrer: str, return_to: str
) -> None:
    headers = PAGE | ({"Referer": referrer} if referrer else {})
    response = app.test_client().get("/api/transfer", headers=headers)
    assert (response.status_code, response.mimetype) == (401, "text/html")
    href = f"{LOGIN_URL}{return_to}".replace("&", "&amp;")
    assert f'href="{href}"' in response.text
