"""How does a redirect lead to the very address, and not to a rewritten one?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Response
from werkzeug.datastructures import Headers

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


class Redirect(Response):
    """Its `Location` stays as it is; Werkzeug would quote `[`, `|` and others."""

    def get_wsgi_headers(self, environ: WSGIEnvironment) -> Headers:
        """The headers, as Werkzeug completes them (PEP 3333)."""
        headers = super().get_wsgi_headers(environ)
        headers["Location"] = self.headers["Location"]
        return headers


def redirect(location: str, status: int) -> Response:
    """Redirect by 302 or 303; a 307 would repeat a POST with its body (RFC 9700, 4.12)."""
    return Redirect(status=status, headers={"Location": location})
