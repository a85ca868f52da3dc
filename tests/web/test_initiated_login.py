"""Another site begins a sign-in (OpenID Connect Core 1.0, section 4)."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.datastructures import MultiDict

from bff.config import load
from bff.web import error_responses, initiated_login
from tests.support.signing_in import NAVIGATION, ORIGIN, SECRET

ISSUER = "https://tenant.example/"
CROSS_SITE = NAVIGATION | {"Sec-Fetch-Site": "cross-site", "Origin": "https://portal.example"}


@pytest.fixture(scope="module")
def client() -> FlaskClient:
    config = load(
        {
            "OIDC_ISSUER": ISSUER, "AUTH0_CLIENT_ID": "c", "AUTH0_CLIENT_SECRET": "s" * 32,
            "AUTH0_SECRET": SECRET, "APP_BASE_URL": ORIGIN, "BFF_API_URL": "http://127.0.0.1:7",
            "BFF_LOGIN_PARAMETERS": "kc_idp_hint",
        }
    )  # fmt: skip
    app = Flask(__name__, static_folder=None)
    error_responses.register(app, config)
    app.register_blueprint(initiated_login.create_blueprint(config))
    return app.test_client()


def asked(
    client: FlaskClient, method: str, given: dict[str, str | list[str]], **headers: str
) -> tuple[int, str]:
    """Status, and where it leads or the code of the error."""
    fields: MultiDict[str, str] = MultiDict(given)
    query, form = (fields, None) if method == "GET" else (None, fields)
    response = client.open(
        initiated_login.PATH,
        method=method,
        headers=CROSS_SITE | headers,
        query_string=query,
        data=form,
    )
    if "Location" in response.headers:
        return response.status_code, response.headers["Location"]
    code = response.text.rpartition("Code: ")[2].partition("<")[0].strip()
    return response.status_code, code or response.text


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"returnTo": "/"}),
        ({"iss": ISSUER}, {"returnTo": "/"}),
        ({"iss": ISSUER, "target_link_uri": ORIGIN}, {"returnTo": "/"}),
        ({"iss": ISSUER, "target_link_uri": f"{ORIGIN}/"}, {"returnTo": "/"}),
        (
            {"iss": ISSUER, "target_link_uri": f"{ORIGIN}/%C3%9F?a=b%26c#d", "login_hint": "a@b"},
            {"returnTo": "/%C3%9F?a=b%26c#d", "login_hint": "a@b"},
        ),
        (
            {"invitation": "i", "organization": "o", "organization_name": "n", "kc_idp_hint": "k"},
            {"returnTo": "/", "invitation": "i", "organization": "o", "kc_idp_hint": "k"},
        ),
    ],
)  # fmt: skip
def test_it_leads_to_the_sign_in(
    client: FlaskClient, method: str, given: dict[str, str | list[str]], expected: dict[str, str]
) -> None:
    status, location = asked(client, method, given)
    assert status == 303
    assert urlsplit(location).path == "/auth/login"
    found = parse_qs(urlsplit(location).query, strict_parsing=True)
    assert found == {name: [value] for name, value in expected.items()}


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"iss": "https://evil.example/"}, "issuer_mismatch"),
        ({"iss": ISSUER.rstrip("/")}, "issuer_mismatch"),
        ({"iss": ""}, "issuer_mismatch"),
        ({"iss": [ISSUER, "https://evil.example/"]}, "parameter_invalid"),
        ({"login_hint": ["a", "b"]}, "parameter_invalid"),
        ({"login_hint": "a\r\nb"}, "parameter_invalid"),
        *(
            ({"iss": ISSUER, "target_link_uri": uri}, "return_to_invalid")
            for uri in (
                "https://evil.example/", "//evil.example/", "/page", f"{ORIGIN}.evil.example/",
                f"{ORIGIN}@evil.example/", f"{ORIGIN}?a", f"{ORIGIN}//evil.example", "javascript:1",
                f"{ORIGIN}/\\evil.example", f"{ORIGIN}/auth/logout", f"{ORIGIN}/api/x",
                f"{ORIGIN}/%61uth/logout", f"{ORIGIN}/a/../auth/logout", f"{ORIGIN}/a b",
            )
        ),
    ],
)  # fmt: skip
def test_nothing_else_is_believed(
    client: FlaskClient, method: str, given: dict[str, str | list[str]], code: str
) -> None:
    assert code in asked(client, method, given)[1]


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"},
        {"Sec-Fetch-Dest": "iframe"},
        {"Sec-Purpose": "prefetch"},
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_it_is_a_page_load(client: FlaskClient, method: str, headers: dict[str, str]) -> None:
    assert asked(client, method, {"iss": ISSUER}, **headers)[0] == 400


def test_other_methods_are_refused(client: FlaskClient) -> None:
    assert asked(client, "PUT", {})[0] == 405
