"""The form of the page that asks before a logout is valid in the browser that got it only."""

from __future__ import annotations

import re
from http.cookies import SimpleCookie

import pytest
from flask import Flask

from bff.config import load
from bff.core.sealing import Sealer
from bff.web.logout import CONFIRM_SECONDS, Confirmation

OLD, NEW = "o" * 40, "n" * 40
HTTPS, HTTP = "https://app.example.com", "http://localhost:8000"


def confirmation(*secrets: str, origin: str = HTTPS) -> Confirmation:
    config = load(
        {
            "OIDC_ISSUER": "https://issuer.example/", "AUTH0_CLIENT_ID": "a",
            "AUTH0_CLIENT_SECRET": "b", "AUTH0_SECRET": secrets[0], "APP_BASE_URL": origin,
            "BFF_API_URL": "http://127.0.0.1:9",
        }
    )  # fmt: skip
    return Confirmation(config, Sealer(secrets))


@pytest.fixture
def app() -> Flask:
    return Flask("bff", template_folder=None)


def ask(app: Flask, page: Confirmation) -> tuple[str, str, str]:
    """The form's token, the `Set-Cookie` header, and its `name=value`."""
    with app.test_request_context():
        response = page.ask("/")
    found = re.search(r'name="form_token" value="([^"]+)"', response.get_data(as_text=True))
    assert found
    [header] = response.headers.getlist("Set-Cookie")
    return found[1], header, header.split(";")[0]


def is_ours(app: Flask, page: Confirmation, token: str | None, cookie: str | None) -> bool:
    headers = {} if cookie is None else {"Cookie": cookie}
    with app.test_request_context(headers=headers):
        return page.is_ours(token)


@pytest.mark.parametrize(("origin", "name"), [(HTTPS, "__Host-logout-form"), (HTTP, "logout-form")])
def test_the_attributes_of_its_cookie(app: Flask, origin: str, name: str) -> None:
    _, header, _ = ask(app, confirmation(NEW, origin=origin))
    [morsel] = SimpleCookie(header).values()
    assert morsel.key == name
    assert (morsel["path"], morsel["samesite"], morsel["domain"]) == ("/", "Strict", "")
    assert morsel["max-age"] == str(CONFIRM_SECONDS)
    assert morsel["httponly"] is True
    assert morsel["secure"] == (True if origin == HTTPS else "")


def test_token_and_cookie_belong_together(app: Flask) -> None:
    page = confirmation(NEW)
    token, _, cookie = ask(app, page)
    other_token, _, other_cookie = ask(app, page)
    assert is_ours(app, page, token, cookie)
    assert not is_ours(app, page, token, other_cookie)
    assert not is_ours(app, page, other_token, cookie)
    assert not is_ours(app, page, None, cookie)
    assert not is_ours(app, page, "", cookie)


def test_without_the_cookie_no_token_is_valid(app: Flask) -> None:
    page = confirmation(NEW)
    of_nothing = Sealer([NEW]).keyed_hash("logout form", "")
    for cookie in (None, "__Host-logout-form="):
        assert not is_ours(app, page, of_nothing, cookie)


def test_a_page_from_before_a_key_rotation_is_still_valid(app: Flask) -> None:
    token, _, cookie = ask(app, confirmation(OLD))
    assert is_ours(app, confirmation(NEW, OLD), token, cookie)
    assert not is_ours(app, confirmation(NEW), token, cookie)
