"""Which headers does every response have, and why these values?

- **Content-Security-Policy**: only our own scripts, styles and connections, nothing inline; no
  plug-ins, no `<base>`, no framing by other pages. `form-action` also names the provider: browsers
  apply it to the redirect that follows a form, and our logout form is followed by one. The one
  inline style is the empty one, into which CSS-in-JS libraries write by script, as any script may.
- **Strict-Transport-Security** on https only: a year, subdomains included (ASVS 3.4.1).
- **Referrer-Policy** `same-origin`: our addresses, which may contain an authorization code, are
  never sent to another site. `no-referrer` would be stricter, but then browsers send `Origin: null`
  with our own forms, and the cross-site check reads `Origin`.
- **Cross-Origin-Opener-Policy** `same-origin` on documents: a page that opened ours gets no
  reference to it. The sign-in is a full-page redirect and needs none.
- **Cross-Origin-Resource-Policy** `same-origin`: no other site can embed what the cookie protects.
- **Permissions-Policy**: hardware and payment, which few apps use, are off in documents.
- **X-Request-ID**: the id of the request in our log.

A header that a response already has stays as it is: the proxy sets stricter ones.
"""

from flask import Flask, Response

from bff.config import Config
from bff.config.csp_directives import extended
from bff.core.request_id import request_id

HSTS = "max-age=31536000; includeSubDomains"
EMPTY_STYLE = "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
"""The hash of `<style></style>`. An injected style with a text in it stays blocked."""
PERMISSIONS = "hid=(), midi=(), payment=(), serial=(), usb=()"


def default_csp(issuer_origin: str) -> str:
    """Return the policy of pages and files, unless the settings have one.

    Source: ASVS 3.4.3 and 3.4.6; Content Security Policy Level 3, section 6.4.
    """
    return (
        f"default-src 'self'; style-src 'self' {EMPTY_STYLE}; object-src 'none'; "
        f"base-uri 'none'; frame-ancestors 'none'; form-action 'self' {issuer_origin}"
    )


def register(app: Flask, config: Config) -> None:
    """Add the headers to every response of *app*, error responses included."""
    always = _always(config)
    document = {
        **always,
        "cross-origin-opener-policy": "same-origin",
        "permissions-policy": PERMISSIONS,
    }
    # Built once, as they are sent: this runs for every response of /api too.
    for_all = [(name, name.title(), value) for name, value in always.items()]
    for_documents = [(name, name.title(), value) for name, value in document.items()]

    @app.after_request
    def add_headers(response: Response) -> Response:
        headers = response.headers
        present = {name.lower(): value for name, value in headers}
        media_type = present.get("content-type", "").partition(";")[0]
        is_document = media_type.strip().lower() == "text/html"
        needed = for_documents if is_document else for_all
        # As `Headers.add`, which would check each of these values again, with every response.
        headers._list += [  # noqa: SLF001
            (name, value) for key, name, value in needed if key not in present
        ]
        if "x-request-id" not in present:
            headers._list.append(("X-Request-ID", request_id()))  # noqa: SLF001
        return response


def _always(config: Config) -> dict[str, str]:
    policy = config.csp or default_csp(config.issuer_origin)
    always = {
        "content-security-policy": extended(policy, config.csp_add) if config.csp_add else policy,
        "x-content-type-options": "nosniff",
        "referrer-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
    }
    return always | {"strict-transport-security": HSTS} if config.https else always
