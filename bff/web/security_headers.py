"""Which security headers does every answer carry, and why these values?

- **Content-Security-Policy**: only our own scripts, styles and connections, nothing inline; no
  plug-ins, no `<base>`, no frames around us. `form-action` also names the provider, since browsers
  apply it to the redirect that follows a form, and our logout form is answered with one.
- **Strict-Transport-Security** on https only: a year, subdomains included (ASVS 3.4.1).
- **Referrer-Policy** `same-origin`: an address of ours, which may hold an authorization code, is
  never told to another site. `no-referrer` would tell even less, but it makes browsers send
  `Origin: null` with our own forms, and the cross-site refusal looks at `Origin`.
- **Cross-Origin-Opener-Policy** `same-origin` on documents: a page that opened us gets no handle on
  us. The sign-in is a full-page redirect, so nothing needs one.
- **Cross-Origin-Resource-Policy** `same-origin`: no other site can embed what the cookie opens.
- **Permissions-Policy**: hardware and payment, which hardly an app uses, are off in documents.

A header that an answer already has is left as it is: the proxy has stricter rules of its own.
"""

from typing import Protocol

from flask import Flask, Response

HSTS = "max-age=31536000; includeSubDomains"
PERMISSIONS = "hid=(), midi=(), payment=(), serial=(), usb=()"


class HeaderSettings(Protocol):
    """What this file needs of the settings."""

    @property
    def https(self) -> bool:
        """Whether browsers reach us over https."""

    @property
    def csp(self) -> str | None:
        """Replaces the default policy."""

    @property
    def issuer_origin(self) -> str:
        """Scheme, host and port of the provider."""


def default_csp(issuer_origin: str) -> str:
    """Return the policy of pages and files where the settings have none.

    Source: ASVS 3.4.3 and 3.4.6; Content Security Policy Level 3, section 6.4.
    """
    return (
        "default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; "
        f"form-action 'self' {issuer_origin}"
    )


def install(app: Flask, config: HeaderSettings) -> None:
    """Add the headers to every answer of *app*, error answers included."""
    always = {
        "content-security-policy": config.csp or default_csp(config.issuer_origin),
        "x-content-type-options": "nosniff",
        "referrer-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
    }
    if config.https:
        always["strict-transport-security"] = HSTS
    document = {
        **always,
        "cross-origin-opener-policy": "same-origin",
        "permissions-policy": PERMISSIONS,
    }
    # Built once, in the spelling that is sent: this runs on every answer of /api too.
    for_all = [(name, name.title(), value) for name, value in always.items()]
    for_documents = [(name, name.title(), value) for name, value in document.items()]

    @app.after_request
    def add_headers(response: Response) -> Response:
        headers = response.headers
        present = {name.lower() for name, _ in headers}
        is_document = response.mimetype == "text/html"
        for key, name, value in for_documents if is_document else for_all:
            if key not in present:
                headers.add(name, value)
        return response
