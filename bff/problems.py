"""How is an error answered: to programs as `application/problem+json`, to people as a page?

Callers get status, stable code, public message and a reference; the detail goes to the log with the
same reference. Source: RFC 9457; RFC 9110, 10.2.3 (`Retry-After`).
"""

from __future__ import annotations

import json
import logging

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from bff import audit, pages
from bff.errors import (
    BFFError,
    BodyTooLarge,
    MethodNotAllowed,
    NotFound,
    RequestRefused,
    SessionMissing,
    SignInNotFresh,
    SignInRefused,
)

log = logging.getLogger(__name__)

LOGIN_URL = "/auth/login"
SIGN_IN_HELPS = (SessionMissing, SignInRefused)
"""After these a page offers to sign in."""


def install(app: Flask) -> None:
    """Answer every error of *app*, its routing's and the unexpected ones too."""
    app.register_error_handler(BFFError, answer)
    app.register_error_handler(HTTPException, _from_werkzeug)
    app.register_error_handler(Exception, _unexpected)


def answer(error: BFFError) -> Response:
    """The answer for *error*, in the form that the caller understands."""
    reference = audit.request_id()
    level = logging.ERROR if error.status == 500 else logging.INFO
    log.log(level, "%s %s: %s [%s]", error.status, error.code, error.detail, reference)
    response = _page(error, reference) if pages.wants_page(request) else _problem(error, reference)
    response.headers["Cache-Control"] = "no-store"
    response.vary.update(["Sec-Fetch-Dest", "Accept"])
    if error.retry_after_seconds is not None:
        response.headers["Retry-After"] = str(error.retry_after_seconds)
    if isinstance(error, MethodNotAllowed):
        response.headers["Allow"] = error.allow
    return response


def _problem(error: BFFError, reference: str) -> Response:
    problem = {
        "type": "about:blank",
        "title": error.message,
        "status": error.status,
        "code": error.code,
        "detail": error.hint,
        "reference": reference,
    }
    if isinstance(error, SessionMissing):
        problem["login_url"] = LOGIN_URL
    if isinstance(error, SignInNotFresh):
        problem["login_url"] = f"{LOGIN_URL}?{error.login_parameters}"
    return Response(json.dumps(problem), error.status, content_type="application/problem+json")


def _page(error: BFFError, reference: str) -> Response:
    return pages.render_error(
        error.code,
        error.message.rstrip("."),
        error.message,
        error.hint,
        reference,
        error.status,
        sign_in_url=LOGIN_URL if isinstance(error, SIGN_IN_HELPS) else None,
    )


def _from_werkzeug(error: HTTPException) -> Response:
    """Routing's and the parser's errors, in our form."""
    if error.code == 405:
        return answer(MethodNotAllowed(allow=getattr(error, "valid_methods", None) or ()))
    if error.code is not None and 300 <= error.code < 400:
        return Response(status=error.code, headers=list(error.get_headers()))
    if error.code == 413:
        return answer(BodyTooLarge(error.name))
    return answer(NotFound() if error.code == 404 else RequestRefused(error.name))


def _unexpected(error: Exception) -> Response:
    """The last resort (ASVS 16.5.4): nothing of it reaches the caller."""
    audit.record("unexpected_error", "failed", reason=type(error).__name__)
    log.error("unexpected error [%s]", audit.request_id(), exc_info=error)
    return answer(BFFError(type(error).__name__))
