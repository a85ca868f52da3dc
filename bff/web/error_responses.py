"""What is the response for an error? `application/problem+json` for a program, a page in a browser.

Either has the status, the stable code, the public message and a reference. The detail is in the
log only, with the same reference. Source: RFC 9457 (`bff.core.problem`).
"""

from __future__ import annotations

import logging
from urllib.parse import urlencode, urlsplit, urlunsplit

from flask import Flask, Response, current_app, request
from werkzeug.exceptions import HTTPException, InternalServerError

from bff.config import Config
from bff.core import audit, operations
from bff.core.errors import (
    AuthTimeMissing,
    BFFError,
    BodyTooLarge,
    CookiesUnreadable,
    MethodNotAllowed,
    NotFound,
    RequestRefused,
    ReturnToInvalid,
    ServiceWorkerInterferes,
    SessionMissing,
    SignInDenied,
    SignInNotFresh,
    SignInRefused,
    SignInRequired,
    StepUpRequired,
)
from bff.core.problem import problem_response, set_headers
from bff.core.request_id import request_id
from bff.web import pages
from bff.web.return_to import checked_return_to

log = logging.getLogger(__name__)

LOGIN_URL = "/auth/login"
SIGN_IN_HELPS = (SessionMissing, SignInRequired, SignInRefused)
"""The page for one of these errors has a button that leads to the sign-in."""
CONFIG = "bff_problems_config"


def register(app: Flask, config: Config | None = None) -> None:
    """Handle every error of *app*, with those of the routing and unexpected exceptions.

    Args:
        app: The application.
        config: Decides to which pages a sign-in may return; without it, to none.
    """
    app.extensions[CONFIG] = config
    app.register_error_handler(BFFError, error_response)
    app.register_error_handler(HTTPException, _from_werkzeug)
    app.register_error_handler(Exception, _unexpected)


def error_response(error: BFFError) -> Response:
    """The response for *error*, as a page or as JSON; and a line in the log."""
    reference = request_id()
    if operations.observers:
        operations.note("error_response", error.code)
    error.log(log, reference)
    page = pages.wants_page(request) or isinstance(error, ServiceWorkerInterferes)
    response = _page(error, reference) if page else _problem(error, reference)
    set_headers(response, error, error.challenge if isinstance(error, StepUpRequired) else None)
    response.vary.update(["Sec-Fetch-Mode", "Sec-Fetch-Dest", "Accept"])
    if isinstance(error, MethodNotAllowed):
        response.headers["Allow"] = error.allow
    return response


def _problem(error: BFFError, reference: str) -> Response:
    more: dict[str, object] = {}
    login_url = _login_url(error)
    if login_url is not None:
        more["login_url"] = login_url
    if isinstance(error, StepUpRequired):
        more |= error.requirements
    return problem_response(error, reference, **more)


def _login_url(error: BFFError) -> str | None:
    """The sign-in that a program sends its user to; the program adds `returnTo`."""
    if isinstance(error, SignInNotFresh | StepUpRequired):
        return f"{LOGIN_URL}?{error.login_parameters}"
    return LOGIN_URL if isinstance(error, SessionMissing | SignInRequired) else None


def _page(error: BFFError, reference: str) -> Response:
    if isinstance(error, CookiesUnreadable):
        title = error.message.rstrip(".")
        return pages.render_cookies_unreadable(error.code, title, reference, error.status)
    return pages.render_error(
        error.code,
        error.message.rstrip("."),
        error.message,
        error.hint,
        reference,
        error.status,
        sign_in_url=_page_login_url(error),
        said=error.description if isinstance(error, SignInDenied) else "",
        other_account=isinstance(error, SignInDenied) and error.other_account,
    )


def _page_login_url(error: BFFError) -> str | None:
    """The address of the page's "Sign in"; after a step-up it returns to the page before."""
    if isinstance(error, SignInDenied) and error.login_parameters:
        return f"{LOGIN_URL}?{error.login_parameters}"
    if isinstance(error, AuthTimeMissing):
        return None  # After an end of all sessions, another sign-in would only come back here.
    if error.return_to is not None:
        return f"{LOGIN_URL}?{urlencode({'returnTo': error.return_to, **error.sign_in_parameters})}"
    if not isinstance(error, StepUpRequired):
        return LOGIN_URL if isinstance(error, SIGN_IN_HELPS) else None
    return_to = _came_from()
    more = f"&{urlencode({'returnTo': return_to})}" if return_to else ""
    return f"{LOGIN_URL}?{error.login_parameters}{more}"


def _came_from() -> str | None:
    """Our own page from which the browser came; the current address may be an API's."""
    config: Config | None = current_app.extensions.get(CONFIG)
    parts = urlsplit(request.referrer or "")
    if config is None or f"{parts.scheme}://{parts.netloc}" != config.app_base_url:
        return None
    try:
        return checked_return_to(urlunsplit(("", "", parts.path, parts.query, "")), config)
    except ReturnToInvalid:
        return None


def _from_werkzeug(error: HTTPException) -> Response:
    """An error of Werkzeug's routing or parsing, as ours."""
    if isinstance(error, InternalServerError) and error.original_exception is not None:
        return _after_the_response(error.original_exception)
    if error.code == 405:
        return error_response(MethodNotAllowed(allow=getattr(error, "valid_methods", None) or ()))
    if error.code is not None and 300 <= error.code < 400:
        return Response(status=error.code, headers=list(error.get_headers()))
    if error.code == 413:
        return error_response(BodyTooLarge(error.name))
    return error_response(NotFound() if error.code == 404 else RequestRefused(error.name))


def _after_the_response(error: BaseException) -> Response:
    """What a function after the request has raised, or the writing of `flask.session`."""
    if isinstance(error, BFFError):
        return error_response(error)
    return _unexpected(error)


def _unexpected(error: BaseException) -> Response:
    """Any other exception (ASVS 16.5.4): the caller learns nothing of it."""
    audit.record("unexpected_error", "failed", reason=type(error).__name__)
    log.error("unexpected error [%s]", request_id(), exc_info=error)
    return error_response(BFFError(type(error).__name__))
