"""Which requests may use the cookie: the decision table of promise 8, without a browser."""

from __future__ import annotations

import pytest

from bff.access.session_guard import cross_site_reason

OURS = "https://app.example.com"


def environ(**fields: str) -> dict[str, str]:
    return {f"HTTP_{name.upper()}": value for name, value in fields.items()}


@pytest.mark.parametrize(
    ("fields", "method"),
    [
        (environ(sec_fetch_site="cross-site"), "GET"),
        (environ(sec_fetch_site="cross-site", x_csrf="1"), "GET"),
        (environ(sec_fetch_site="cross-site", origin=OURS, x_csrf="1"), "POST"),
        (environ(sec_fetch_site="same-site"), "GET"),
        (environ(sec_fetch_site="same-site", x_csrf="1"), "POST"),
        (environ(sec_fetch_site="none"), "POST"),
        (environ(sec_fetch_site="none", x_csrf="1"), "DELETE"),
        (environ(sec_fetch_site="Same-Origin"), "GET"),
        (environ(sec_fetch_site="same-origin, cross-site"), "GET"),
        (environ(sec_fetch_site="same-origin,same-origin"), "GET"),
        (environ(sec_fetch_site=""), "GET"),
        (environ(sec_fetch_site="something-new"), "GET"),
        (environ(), "GET"),
        (environ(), "POST"),
        (environ(x_csrf="0"), "GET"),
        (environ(x_csrf="true"), "GET"),
        (environ(x_csrf="1", origin="https://evil.example"), "GET"),
        (environ(x_csrf="1", origin="https://sub.app.example.com"), "POST"),
        (environ(x_csrf="1", origin="http://app.example.com"), "POST"),
        (environ(x_csrf="1", origin="https://app.example.com.evil.example"), "POST"),
        (environ(x_csrf="1", origin="null"), "POST"),
        (environ(x_csrf="1", origin=""), "POST"),
        (environ(origin=OURS), "POST"),
        (environ(sec_fetch_site="same-origin", origin="https://evil.example"), "POST"),
        (environ(sec_fetch_site="same-origin", origin="null"), "POST"),
        (environ(sec_fetch_site="same-origin", origin="null", x_csrf="1"), "GET"),
        (environ(sec_fetch_site="same-origin", origin=f"{OURS}, {OURS}"), "POST"),
        (environ(sec_fetch_site="none", origin="https://evil.example"), "GET"),
    ],
)
def test_promise_8_it_is_refused(fields: dict[str, str], method: str) -> None:
    assert cross_site_reason(fields, method, OURS) is not None


@pytest.mark.parametrize(
    ("fields", "method"),
    [
        (environ(sec_fetch_site="same-origin"), "GET"),
        (environ(sec_fetch_site="same-origin"), "POST"),
        (environ(sec_fetch_site="same-origin", origin=OURS), "POST"),
        (environ(sec_fetch_site="none"), "GET"),
        (environ(sec_fetch_site="none"), "HEAD"),
        (environ(x_csrf="1"), "GET"),
        (environ(x_csrf="1"), "DELETE"),
        (environ(x_csrf="1", origin=OURS), "POST"),
    ],
)
def test_it_may_pass(fields: dict[str, str], method: str) -> None:
    assert cross_site_reason(fields, method, OURS) is None


def test_promise_8_a_form_token_replaces_the_header_only() -> None:
    foreign = environ(sec_fetch_site="cross-site")
    assert cross_site_reason(environ(), "POST", OURS, form_is_ours=True) is None
    assert cross_site_reason(foreign, "POST", OURS, form_is_ours=True) is not None
    evil = environ(origin="https://evil.example")
    assert cross_site_reason(evil, "POST", OURS, form_is_ours=True) is not None
