"""Where does a link of the provider lead that isn't the end of a sign-in?

A link in a mail (an address was verified, an invitation has expired) leads to the callback, without
`state`: it belongs to no sign-in, so there is nothing to finish, and no text of it is shown. It
leads to the app.
"""

from __future__ import annotations

import logging
from urllib.parse import urlencode, urlsplit, urlunsplit

from flask import Request

from bff.web.denial import error_code, readable

log = logging.getLogger(__name__)


def app_instead_of_callback(request: Request) -> str | None:
    """The app's page for such a link; None for the end of a sign-in."""
    arguments = request.args
    # Auth0: the link after the verification of an address has `code=success`.
    has_code = arguments.get("code", "success") != "success"
    if "state" in arguments or has_code or not arguments:
        return None
    error = arguments.get("error")
    description = readable(arguments.get("error_description", arguments.get("message", "")))
    log.info(
        "a link of the provider without a sign-in: %s, %s",
        ascii(error_code(error)) if error else "no error",
        ascii(description),
    )
    # As after a silent sign-in: a page with `error` starts no sign-in by itself, and can't loop.
    return with_error("/", error_code(error)) if error else "/"


def with_error(return_to: str, code: str) -> str:
    """*return_to* with `error=<code>` appended to its query."""
    parts = urlsplit(return_to)
    query = "&".join(filter(None, [parts.query, urlencode({"error": code})]))
    return urlunsplit(parts._replace(query=query))
