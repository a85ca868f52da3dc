"""The security headers of every kind of response."""

import pytest
from flask import Flask, Response
from werkzeug.test import TestResponse

from bff.config import load
from bff.web.security_headers import default_csp, register

SETTINGS = {
    "OIDC_ISSUER": "https://tenant.eu.auth0.com/", "AUTH0_CLIENT_ID": "client",
    "AUTH0_CLIENT_SECRET": "not used here", "AUTH0_SECRET": "0123456789abcdef0123456789abcdef",
    "APP_BASE_URL": "https://app.test", "BFF_API_URL": "http://api.test",
}  # fmt: skip


def responses(**settings: str) -> dict[str, TestResponse]:
    app = Flask(__name__, static_folder=None)
    register(app, load(SETTINGS | settings, env_file=None))
    proxied = {
        "Content-Security-Policy": "sandbox",
        "referrer-policy": "no-referrer",
        "Content-Type": "application/json",
    }
    app.add_url_rule("/page", "page", lambda: "<p>hi</p>")
    app.add_url_rule("/data", "data", lambda: {"a": 1})
    app.add_url_rule("/proxied", "proxied", lambda: Response("{}", headers=proxied))
    app.add_url_rule("/proxied-page", "proxied-page", lambda: Response("", headers={
        **proxied, "Content-Type": "text/html"}))  # fmt: skip
    app.add_url_rule("/fails", "fails", lambda: str(1 / 0))
    app.logger.disabled = True
    client = app.test_client()
    return {
        path: client.get(f"/{path}") for path in ("page", "data", "proxied", "fails", "missing")
    } | {"proxied-page": client.get("/proxied-page")}


@pytest.mark.parametrize("path", ["page", "data", "fails", "missing"])
def test_every_response_has_the_headers(path: str) -> None:
    headers = responses()[path].headers
    assert headers["Content-Security-Policy"] == (
        "default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; "
        "form-action 'self' https://tenant.eu.auth0.com"
    )
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains"


@pytest.mark.parametrize(
    ("path", "is_document"),
    [("page", True), ("fails", True), ("missing", True), ("data", False), ("proxied", False)],
)
def test_only_documents_are_isolated(path: str, is_document: bool) -> None:
    headers = responses()[path].headers
    assert (headers.get("Cross-Origin-Opener-Policy") == "same-origin") is is_document
    assert ("Permissions-Policy" in headers) is is_document


@pytest.mark.parametrize("path", ["proxied", "proxied-page"])
def test_a_header_that_a_response_already_has_stays(path: str) -> None:
    headers = responses()[path].headers
    assert headers.getlist("Content-Security-Policy") == ["sandbox"]
    assert headers.getlist("Referrer-Policy") == ["no-referrer"]
    assert headers.getlist("X-Content-Type-Options") == ["nosniff"]
    assert headers.getlist("Strict-Transport-Security") == ["max-age=31536000; includeSubDomains"]


def test_no_hsts_without_https() -> None:
    """RFC 6797, section 7.2: it must not be sent over plain HTTP."""
    for response in responses(APP_BASE_URL="http://localhost:8000").values():
        assert "Strict-Transport-Security" not in response.headers


def test_the_settings_can_replace_the_policy() -> None:
    headers = responses(BFF_CONTENT_SECURITY_POLICY="default-src 'none'")["page"].headers
    assert headers.getlist("Content-Security-Policy") == ["default-src 'none'"]


def test_the_default_policy_allows_nothing_inline() -> None:
    assert "unsafe" not in default_csp("https://x.test")
