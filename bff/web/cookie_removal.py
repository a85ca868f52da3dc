"""How does a browser get rid of a cookie that hides all others? By the button of a page.

The page's script removes that cookie alone. Where it can't, since the cookie is `HttpOnly` or there
are no scripts, the form is posted here. The server doesn't see the cookie's name, so the response
removes all cookies. Only a request whose cookies are hidden gets it.
"""

from __future__ import annotations

from flask import Blueprint, Response, request

from bff.access.cookie_header import are_hidden
from bff.access.session_guard import SessionGuard
from bff.web.redirect import redirect


def create_blueprint(guard: SessionGuard) -> Blueprint:
    """`POST /auth/cookies`, from our own page only."""
    blueprint = Blueprint("cookies", __name__)

    @blueprint.post("/auth/cookies")
    def remove() -> Response:
        guard.refuse_cross_site(may_lack_header=True)
        response = redirect("/", 303)
        response.headers["Cache-Control"] = "no-store"
        if are_hidden(request.environ):
            response.headers["Clear-Site-Data"] = '"cookies"'
        return response

    return blueprint
