"""A refusal by the provider: its reason is shown and logged, and another account is offered."""

from __future__ import annotations

import logging
from collections.abc import Callable
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from tests.support.signing_in import World, changed, refused

REASON = "Ask Dana & Co. for the r\u00f4le \u201ceditor\u201d \U0001f600"


def denied(world: World, description: str, **query: str) -> str:
    """The page after the provider has refused a sign-in with *query*."""
    url = world.callback_url(**query)
    error = {"code": None, "error": "access_denied", "error_description": description}
    response = refused(world, changed(url, **error), "sign_in_denied", 403)
    assert response.mimetype == "text/html"
    return response.text


def test_the_reason_is_on_the_page_and_in_the_log(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        page = denied(world, REASON)
    assert REASON in unescape(page)
    assert "access_denied: 'Ask Dana & Co. for the r\\xf4le" in caplog.text


@pytest.mark.parametrize(
    ("description", "shown"),
    [
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("{{ 7 * 7 }}", "{{ 7 * 7 }}"),
        ("a\r\n2026 INFO forged", "a 2026 INFO forged"),
        ("a\u202eb\u2066c\u200bd\x1b[31m\x00", "a b c d [31m"),
        ("half \ufffd", "half \ufffd"),
        ("x" * 5000, "x" * 299 + "\u2026"),
    ],
    ids=["script", "template", "line", "hidden", "replacement", "long"],
)
def test_a_hostile_reason_is_plain_text_of_one_line(
    world: World, caplog: pytest.LogCaptureFixture, description: str, shown: str
) -> None:
    with caplog.at_level(logging.INFO):
        page = denied(world, description)
    assert f"\u201c{shown}\u201d" in page
    assert "<script>" not in page
    assert all(record.getMessage().isprintable() for record in caplog.records)


@pytest.mark.parametrize("description", ["", " ", "\n\u200b"])
def test_without_a_reason_none_is_shown(world: World, description: str) -> None:
    assert "Its reason" not in denied(world, description)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"state": "made-up"}, "state_invalid"),
        ({"iss": "https://evil.example/"}, "issuer_mismatch"),
    ],
)
def test_a_reason_that_is_not_the_providers_is_not_shown(
    world_for: Callable[..., World], caplog: pytest.LogCaptureFixture,
    changes: dict[str, str], code: str,
) -> None:  # fmt: skip
    world = world_for({"iss_parameter": True})
    error = {"code": None, "error": "access_denied", "error_description": "Call 555-EVIL"}
    with caplog.at_level(logging.INFO):
        response = refused(world, changed(world.callback_url(), **(error | changes)), code, 400)
    assert "EVIL" not in response.text + caplog.text


def test_the_button_offers_another_account_and_keeps_the_place(world: World) -> None:
    page = unescape(denied(world, "no", returnTo="/stra%C3%9Fe?a=1&b", acr_values="urn:x"))
    address = page.partition('class="button" href="')[2].partition('"')[0]
    assert "Sign in with another account" in page
    assert parse_qs(urlsplit(address).query) == {
        "prompt": ["select_account"], "returnTo": ["/stra%C3%9Fe?a=1&b"], "acr_values": ["urn:x"],
    }  # fmt: skip
    assert world.get(address).status_code == 302


@pytest.mark.parametrize(
    ("query", "leads_to"),
    [
        ({"error": "unauthorized", "error_description": "expired <b>"}, "/?error=unauthorized"),
        ({"error": "<script>\n"}, "/?error=unreadable"),
        ({"message": "Your email was verified.", "success": "true"}, "/"),
        ({"message": "Your email was verified.", "success": "true", "code": "success"}, "/"),
    ],
    ids=["expired", "hostile", "verified", "auth0"],
)
def test_a_link_of_the_provider_without_a_sign_in_leads_to_the_app(
    world: World, audit_lines: Callable[[], list[dict[str, Any]]], query: dict[str, str],
    leads_to: str,
) -> None:  # fmt: skip
    world.login()
    response = world.get(f"/auth/callback?{urlencode(query)}")
    assert (response.status_code, response.headers["Location"]) == (303, leads_to)
    assert len(world.login_cookies()) == 1, "the sign-in under way goes on"
    assert [line["event"] for line in audit_lines()] == ["sign_in_started"]


@pytest.mark.parametrize("query", ["", "?code=abc", "?state=", "?code=success&state=x", "?code="])
def test_anything_else_without_its_sign_in_is_refused(world: World, query: str) -> None:
    refused(world, f"/auth/callback{query}", "state_invalid", 400)
