"""Where does a sign-in that has failed lead? To a page of ours, or of the application.

A silent sign-in always comes back to where it was begun, with the error's code.
"""

from __future__ import annotations

import logging
from urllib.parse import urlencode, urlsplit, urlunsplit

from flask import Response

from bff.config import Config
from bff.core import audit
from bff.core.errors import BFFError, ProviderRejected, SignInDenied, SignInSpent
from bff.core.model import LoginTransaction
from bff.core.request_id import request_id
from bff.web.login_parameters import asked_for
from bff.web.provider_link import with_error
from bff.web.redirect import redirect
from bff.web.sign_in_audit import record_failure

log = logging.getLogger(__name__)


def failed(transaction: LoginTransaction, error: Exception, config: Config) -> Response:
    """Record a failed step; redirect to the application, if the failure is told there.

    Raises:
        Exception: *error* itself, if a page of ours tells it.
    """
    if isinstance(error, BFFError):
        record_failure(error)
    if transaction.silent:
        return redirect(with_error(transaction.return_to, _silent_code(error)), 303)
    if isinstance(error, BFFError):
        error.return_to = transaction.return_to
        error.sign_in_parameters = asked_for(transaction)
        if (page := page_of_app(error, config)) is not None:
            return redirect(page, 303)
    raise error


def page_of_app(error: BFFError, config: Config) -> str | None:
    """The application's own page for *error*; None if it has none (`BFF_SIGN_IN_ERROR_PATH`).

    It gets our code as `error`; the provider's own code and reason, which were checked to be the
    provider's, as `provider_error` and `error_description`; `returnTo`, and as a query in
    `parameters` what else the sign-in asked for; and `reference`, which finds the line in the log.
    """
    if config.sign_in_error_path is None:
        return None
    reference = request_id()
    error.log(log, reference)
    told = {"error": error.code}
    if isinstance(error, SignInDenied):
        told |= {"provider_error": error.error, "error_description": error.description}
    # Scripts of others on that page may send its address elsewhere: it names no person.
    asked = {n: v for n, v in error.sign_in_parameters.items() if n != "login_hint"}
    told |= {"returnTo": error.return_to or "", "parameters": urlencode(asked)}
    told["reference"] = reference
    parts = urlsplit(config.sign_in_error_path)
    query = "&".join(filter(None, [parts.query, urlencode({n: v for n, v in told.items() if v})]))
    return urlunsplit(parts._replace(query=query))


def is_used_code(error: Exception) -> bool:
    """Whether the code is used up, as when a callback comes twice (RFC 6749, 5.2)."""
    rejected = isinstance(error, ProviderRejected) and error.error == "invalid_grant"
    return rejected or isinstance(error, SignInSpent)


def _silent_code(error: Exception) -> str:
    if isinstance(error, SignInDenied):
        log.info("a silent sign-in was denied: %s", error.detail)
        return error.error
    if isinstance(error, BFFError):
        return error.code
    log.error("a silent sign-in failed", exc_info=error)
    audit.record("sign_in_failed", "failed", reason=BFFError.code)
    return BFFError.code
