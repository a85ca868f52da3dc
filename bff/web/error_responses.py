"""How is an error answered: to programs as `application/problem+json`, to people as a page?

Callers get status, stable code, public message and a reference; the detail goes to the log with the
same reference. Source: RFC 9457; RFC 9110, 10.2.3 (`Retry-After`).
"""

from __future__ import annotations

import json
import logging
from urllib.parse import urlencode, urlsplit, urlunsplit

from flask import Flask, Response, current_app, request
from werkzeug.exceptions import HTTPException

from bff.config import Config
from bff.core import audit
from bff.core.errors import (
    BFFError,
    BodyTooLarge,
    MethodNotAllowed,
    NotFound,
    RequestRefused,
    ReturnToInvalid,
    SessionMissing,
    SignInNotFresh,
    SignInRefused,
    StepUpRequired,
)
from bff.web import pages
from bff.web.return_to import checked_return_to

log = logging.getLogger(__name__)

LOGIN_URL = "/auth/login"
SIGN_IN_HELPS = (SessionMissing, SignInRefused)
"""After these a page offers to sign in."""
CONFIG = "bff_problems_config"


def install(app: Flask, config: Config | None = None) -> None:
    """Answer every error of *app*, its routing's and the unexpected ones too.

    Args:
        app: Whose errors.
        config: Says which pages are ours to come back to; without it none is.
    """
    app.extensions[CONFIG] = config
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
    if isinstance(error, StepUpRequired):
        response.headers["WWW-Authenticate"] = error.challenge
    return response


def _problem(error: BFFError, reference: str) -> Response:
    problem: dict[str, object] = {
        "type": "about:blank",
        "title": error.message,
        "status": error.status,
        "code": error.code,
        "detail": error.hint,
        "reference": reference,
    }
    login_url = _login_url(error)
    if login_url is not None:
        problem["login_url"] = login_url
    if isinstance(error, StepUpRequired):
        problem.update(error.asked)
    return Response(json.dumps(problem), error.status, content_type="application/problem+json")


def _login_url(error: BFFError) -> str | None:
    """Where a program sends its user; it adds where to come back to."""
    if isinstance(error, SignInNotFresh | StepUpRequired):
        return f"{LOGIN_URL}?{error.login_parameters}"
    return LOGIN_URL if isinstance(error, SessionMissing) else None


def _page(error: BFFError, reference: str) -> Response:
    return pages.render_error(
        error.code,
        error.message.rstrip("."),
        error.message,
        error.hint,
        reference,
        error.status,
        sign_in_url=_page_login_url(error),
    )


def _page_login_url(error: BFFError) -> str | None:
    """Where the page's "Sign in" leads; after a step-up, back to the page that led here."""
    if not isinstance(error, StepUpRequired):
        return LOGIN_URL if isinstance(error, SIGN_IN_HELPS) else None
    return_to = _came_from()
    more = f"&{urlencode({'returnTo': return_to})}" if return_to else ""
    return f"{LOGIN_URL}?{error.login_parameters}{more}"


def _came_from() -> str | None:
    """The page of ours that the browser came from; the address in hand may be an API's."""
    config: Config | None = current_app.extensions.get(CONFIG)
    parts = urlsplit(request.referrer or "")
    if config is None or f"{parts.scheme}://{parts.netloc}" != config.app_base_url:
        return None
    try:
        return checked_return_to(urlunsplit(("", "", parts.path, parts.query, "")), config)
    except ReturnToInvalid:
        return None


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
