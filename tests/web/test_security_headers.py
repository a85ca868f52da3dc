"""The security headers of every kind of response."""

import pytest
from flask import Flask, Response
from werkzeug.test import TestResponse

from bff.config import load
from bff.web.security_headers import EMPTY_STYLE, default_csp, register

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
        "default-src 'self'; "
        "style-src 'self' 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='; "
        "object-src 'none'; base-uri 'none'; frame-ancestors 'none'; "
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


OURS = "form-action 'self' https://tenant.eu.auth0.com"


@pytest.mark.parametrize(
    ("added", "directives"),
    [
        ("img-src https://p.test", ["img-src 'self' https://p.test", "default-src 'self'", OURS]),
        ("form-action https://pay.test", [f"{OURS} https://pay.test"]),
        ("FORM-ACTION 'self'", [OURS]),
        ("frame-ancestors https://a.test", ["frame-ancestors https://a.test"]),
        ("object-src data:; frame-src 'none'", ["object-src data:", "frame-src 'none'"]),
        ("style-src https://s.test", [f"style-src 'self' {EMPTY_STYLE} https://s.test"]),
        ("style-src-elem https://s.test",
         [f"style-src-elem 'self' {EMPTY_STYLE} https://s.test"]),
        ("style-src 'unsafe-inline'", ["style-src 'self' 'unsafe-inline'"]),
        ("style-src 'Unsafe-Inline'", ["style-src 'self' 'Unsafe-Inline'"]),
        ("img-src data:; default-src https://cdn.test",
         ["default-src 'self' https://cdn.test", "img-src 'self' https://cdn.test data:"]),
        ("worker-src blob:", ["worker-src 'self' blob:"]),
        ("report-uri /csp; upgrade-insecure-requests",
         ["report-uri /csp", "upgrade-insecure-requests", OURS]),
    ],
)  # fmt: skip
def test_added_directives_take_nothing_away(added: str, directives: list[str]) -> None:
    policy = responses(BFF_CSP_ADD=added)["page"].headers["Content-Security-Policy"]
    told = policy.split("; ")
    assert set(directives) <= set(told), policy
    names = [one.split()[0] for one in told]
    assert len(names) == len(set(names)), "a browser ignores the second one"
    assert "base-uri 'none'" in told


def test_directives_are_added_to_a_policy_of_the_settings_too() -> None:
    own = {"BFF_CONTENT_SECURITY_POLICY": "img-src a.test, img-src b.test; IMG-SRC x.test"}
    policy = responses(**own, BFF_CSP_ADD="img-src c.test")["page"].headers
    assert policy["Content-Security-Policy"] == "img-src a.test c.test, img-src b.test c.test"


def test_the_default_policy_allows_nothing_inline() -> None:
    assert "unsafe" not in default_csp("https://x.test")
