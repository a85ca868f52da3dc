"""Which requests get a page, and that the pages are safe and accessible."""

from html.parser import HTMLParser
from typing import Any

import pytest
from flask import Request, Response
from werkzeug.datastructures import Headers
from werkzeug.test import EnvironBuilder

from bff.web.pages import (
    render_cookies_unreadable,
    render_error,
    render_logout_confirm,
    render_no_spa,
    wants_page,
)

HOSTILE = "\"'><script>alert(1)</script>{{ 7*7 }}"
VOID = {"meta", "link", "input", "br", "img"}


class Outline(HTMLParser):
    """Collects elements and text, and fails on tags that don't match."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(response.get_data(as_text=True))
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def error_page(**changes: Any) -> Response:
    values = {
        "code": "state_invalid",
        "title": "You could not be signed in",
        "message": "This sign-in took too long.",
        "hint": "Go back and sign in again.",
        "reference": "ref-123",
        "status": 400,
    }
    return render_error(**{**values, **changes})


PAGES = {
    "error": error_page,
    "error_with_sign_in": lambda: error_page(sign_in_url="/auth/login"),
    "logout_confirm": lambda: render_logout_confirm("/auth/logout", "token-1"),
    "no_spa": render_no_spa,
    "cookies_unreadable": lambda: render_cookies_unreadable("code", "Title", "ref-1", 401),
}


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Sec-Fetch-Dest": "document", "Accept": "*/*"}, True),
        ({"Sec-Fetch-Dest": "iframe"}, True),
        ({"Sec-Fetch-Dest": "empty", "Accept": "text/html"}, False),
        ({"Sec-Fetch-Dest": "empty", "Sec-Fetch-Mode": "navigate", "Accept": "*/*"}, True),
        ({"Sec-Fetch-Dest": "empty", "Sec-Fetch-Mode": "cors", "Accept": "text/html"}, False),
        ({"Sec-Fetch-Dest": "script", "Accept": "text/html"}, False),
        ({"Sec-Fetch-Dest": "", "Accept": "text/html"}, False),
        ({"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}, True),
        ({"Accept": "text/html;q=0, */*"}, False),
        # Sorting so many takes long, and no browser sends them.
        ({"Accept": "text/html," * 6000}, False),
        ({"Accept": "application/json"}, False),
        ({"Accept": "text/*"}, False),
        ({"Accept": "*/*"}, False),
        ({}, False),
    ],
)
def test_which_requests_get_a_page(headers: dict[str, str], expected: bool) -> None:
    assert wants_page(Request(EnvironBuilder(headers=Headers(headers)).get_environ())) is expected


@pytest.mark.parametrize("make", PAGES.values(), ids=PAGES.keys())
def test_a_page_has_what_a_screen_reader_needs_and_nothing_inline(make: Any) -> None:
    response = make()
    page = Outline(response)
    assert page.named("html") == [{"lang": "en"}]
    assert [len(page.named(tag)) for tag in ("title", "main", "h1")] == [1, 1, 1]
    assert page.named("style") == []
    for script in page.named("script"):
        assert script == {"type": "module", "src": "/auth/cookies.js"}
    for _, attributes in page.elements:
        assert not any(name == "style" or name.startswith("on") for name in attributes)
        for name in ("href", "src", "action"):
            assert (attributes.get(name) or "/").startswith("/"), "an external address"
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"


def test_an_error_page_says_what_happened_and_what_to_do() -> None:
    response = error_page()
    assert response.status_code == 400
    text = Outline(response).text
    for part in ("could not be signed in", "took too long", "Go back", "ref-123", "state_invalid"):
        assert part in text


def test_a_message_that_equals_the_title_is_not_repeated() -> None:
    text = Outline(error_page(title="Too late", message="Too late.")).text
    assert "Too late." not in text


def test_the_sign_in_button_has_the_given_target() -> None:
    links = [
        link["href"] for link in Outline(error_page(sign_in_url="/auth/login?a=1&b")).named("a")
    ]
    assert links == ["/auth/login?a=1&b", "/"]
    assert [link["href"] for link in Outline(error_page()).named("a")] == ["/"]


@pytest.mark.parametrize("field", ["code", "title", "message", "hint", "reference", "sign_in_url"])
def test_everything_is_escaped(field: str) -> None:
    page = Outline(error_page(**{field: HOSTILE}))
    assert page.named("script") == []
    assert page.named("h1") == [{}]
    shown = page.text if field != "sign_in_url" else str(page.named("a")[0]["href"])
    assert HOSTILE in shown


def test_the_confirmation_posts_its_token() -> None:
    page = Outline(render_logout_confirm(HOSTILE, HOSTILE))
    form = {"class": "actions", "method": "post", "action": HOSTILE}
    assert page.named("form") == [form]
    assert page.named("input") == [{"type": "hidden", "name": "form_token", "value": HOSTILE}]
    assert len(page.named("button")) == 1
