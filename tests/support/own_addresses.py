"""An application with routes of its own that tell which addresses Flask makes there."""

from __future__ import annotations

import os
from typing import Any

import flask
from flask import Response, current_app, request, url_for
from werkzeug.wsgi import get_current_url

import bff

own = flask.Blueprint("own", __name__)


@own.get("/told/")
@bff.public_route
def told() -> dict[str, Any]:
    """What the request says of its address, and what is made of it."""
    with current_app.app_context():
        in_a_mail = url_for("own.told", _external=True)
    return {
        "url": request.url,
        "base_url": request.base_url,
        "url_root": request.url_root,
        "host_url": request.host_url,
        "host": request.host,
        "scheme": request.scheme,
        "is_secure": request.is_secure,
        "field": request.headers["Host"],
        "of the environment": get_current_url(request.environ),
        "inside": url_for("own.told"),
        "outside": url_for("own.told", _external=True),
        "of the blueprint": url_for(".told", _external=True, n=1),
        "in a mail": in_a_mail,
    }


@own.get("/moved")
@bff.public_route
def moved() -> Response:
    """A redirect of the view's own, which Werkzeug makes absolute."""
    response = Response(status=302, headers={"Location": "told/"})
    response.autocorrect_location_header = True
    return response


if "BFF_API_URL" in os.environ:
    app = bff.create_app(blueprints=[own])
