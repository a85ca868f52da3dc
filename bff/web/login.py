"""How does somebody sign in? The browser is sent to the provider and comes back with a code.

`/auth/login` changes nothing on our side, so another site may link to it: whoever follows such a
link signs in as themselves, and `state` keeps anybody from finishing a sign-in in another's
browser (RFC 9700, 4.7). But it must be a page load of its own, not an image, a frame or a prefetch.
Source: OpenID Connect Core 1.0, 3.1; RFC 9700; DESIGN, section 3.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from urllib.parse import urlencode, urlsplit, urlunsplit

from flask import Blueprint, Response, after_this_request, request
from werkzeug.datastructures import MultiDict

from bff.access.step_up import is_strong
from bff.config import Config
from bff.core import audit
from bff.core.errors import (
    BFFError,
    MethodNotAllowed,
    ParameterInvalid,
    RequestRefused,
    SignInDenied,
    SignInTooOld,
    StateInvalid,
)
from bff.core.model import LoginTransaction, SignIn
from bff.core.sealing import Sealer
from bff.provider.oidc import Provider
from bff.web.login_transaction import LoginTransactions
from bff.web.return_to import checked_return_to

PASSED_ON = ("prompt", "login_hint", "screen_hint", "organization", "invitation", "connection",
             "max_age", "acr_values", "ui_locales")  # fmt: skip
"""What the provider gets from `/auth/login`'s query, if it is there."""
PARAMETER_MAX_CHARACTERS = 512
CODE_MAX_CHARACTERS = 4096

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_MAX_AGE = re.compile(r"[0-9]{1,9}")
_ERROR = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]{1,64}")

log = logging.getLogger(__name__)


def create_blueprint(
    config: Config,
    provider: Provider,
    sealer: Sealer,
    *,
    session_key: Callable[[], str | None],
    begin_session: Callable[[SignIn, LoginTransaction], None],
) -> Blueprint:
    """The two routes of a sign-in.

    Args:
        config: The settings.
        provider: Where to sign in.
        sealer: Seals the transaction's cookie.
        session_key: The hash of the session that the browser has now, if any.
        begin_session: Stores a finished sign-in and gives the browser its cookie. It answers for
            the tokens from then on, also if it raises.
    """
    blueprint = Blueprint("login", __name__)
    pending_logins = LoginTransactions(config, sealer)

    @blueprint.get("/auth/login")
    def login() -> Response:
        _refuse_all_but_page_loads()
        return_to = checked_return_to(_single(request.args, "returnTo"), config)
        parameters = _passed_on(request.args)
        pending = pending_logins.begin(
            return_to=return_to,
            silent=parameters.get("prompt") == "none",
            max_age=_max_age(parameters),
            organization=parameters.get("organization"),
            acr_values=parameters.get("acr_values"),
            old_session_key=session_key(),
        )
        return _audited(pending, lambda: leave(pending, parameters))

    def leave(pending: LoginTransaction, parameters: dict[str, str]) -> Response:
        response = _redirect(provider.authorization_url(pending, parameters), 302)
        pending_logins.remember(response, pending, request.cookies)
        audit.record("sign_in_started", "ok", session_key=pending.old_session_key)
        return response

    @blueprint.get("/auth/callback")
    def callback() -> Response:
        _refuse_all_but_page_loads()
        pending = take()
        return _audited(pending, lambda: finish(pending))

    def take() -> LoginTransaction:
        """The transaction of the answer's `state`; its cookie goes with whatever we answer."""
        states = request.args.getlist("state")
        try:
            if len(states) != 1:
                raise StateInvalid("no state, or several")
            name, pending = pending_logins.find(states[0], request.cookies)
        except StateInvalid as error:
            _record_failure(error)
            raise
        after_this_request(lambda response: _forgotten(pending_logins, response, name))
        return pending

    def finish(pending: LoginTransaction) -> Response:
        answer = request.args
        error, code = _single(answer, "error"), _single(answer, "code")
        provider.check_issuer_parameter(_single(answer, "iss"))
        if error is not None:
            raise SignInDenied(error if _ERROR.fullmatch(error) else "unreadable")
        if not code or len(code) > CODE_MAX_CHARACTERS:
            raise ParameterInvalid("the answer has neither a code nor an error")
        try:
            sign_in = provider.exchange_code(code, pending)
            begin_session(sign_in, pending)
        except SignInTooOld:
            # The provider's old session is not enough after an end of all sessions; it is asked
            # once more, for a real sign-in.
            if pending.repeated or pending.silent:
                raise
            asked = {"organization": pending.organization, "acr_values": pending.acr_values}
            return leave(pending_logins.again(pending), {n: v for n, v in asked.items() if v})
        _record_success(sign_in, pending, session_key())
        return _redirect(pending.return_to, 303)

    @blueprint.after_request
    def keep_private(response: Response) -> Response:
        """The addresses here carry codes: nothing is stored, nobody is told (errors included)."""
        response.headers["Cache-Control"] = "no-store"
        response.headers["Referrer-Policy"] = "no-referrer"
        return response

    return blueprint


def _audited(pending: LoginTransaction, step: Callable[[], Response]) -> Response:
    """Take a step; a failed silent sign-in brings the SPA back, whatever the failure."""
    try:
        return step()
    except BFFError as error:
        _record_failure(error)
        if not pending.silent:
            raise
        code = error.error if isinstance(error, SignInDenied) else error.code
    except Exception:
        if not pending.silent:
            raise
        log.exception("a silent sign-in failed")
        audit.record("sign_in_failed", "failed", reason=BFFError.code)
        code = BFFError.code
    return _redirect(with_error(pending.return_to, code), 303)


def with_error(return_to: str, code: str) -> str:
    """*return_to* with `error=<code>` after what its query has."""
    parts = urlsplit(return_to)
    query = "&".join(filter(None, [parts.query, urlencode({"error": code})]))
    return urlunsplit(parts._replace(query=query))


def _refuse_all_but_page_loads() -> None:
    """Frames, images, fetches, prefetches and HEAD get nothing; old browsers don't say."""
    if request.method != "GET":
        raise MethodNotAllowed("only GET", allow=["GET"])
    headers = request.headers
    embedded = headers.get("Sec-Fetch-Dest", "document") != "document"
    fetched = headers.get("Sec-Fetch-Mode", "navigate") != "navigate"
    ahead = {"Sec-Purpose", "Purpose", "X-Moz"} & set(headers.keys())
    if embedded or fetched or ahead:
        raise RequestRefused("a sign-in is a page load, not a fetch, a frame or a prefetch")


def _single(arguments: MultiDict[str, str], name: str) -> str | None:
    """The value of a parameter that may come once at most (RFC 6749, 3.1)."""
    values = arguments.getlist(name)
    if len(values) > 1:
        raise ParameterInvalid(f"{name} is repeated")
    return values[0] if values else None


def _passed_on(arguments: MultiDict[str, str]) -> dict[str, str]:
    """The parameters for the provider, each checked; `none` must be the only prompt."""
    found = {name: _single(arguments, name) for name in PASSED_ON}
    parameters = {name: value for name, value in found.items() if value}
    for name, value in parameters.items():
        if len(value) > PARAMETER_MAX_CHARACTERS or _CONTROL.search(value):
            raise ParameterInvalid(f"{name} is too long or has control characters")
    prompts = parameters.get("prompt", "").split()
    if "none" in prompts and parameters["prompt"] != "none":
        raise ParameterInvalid("prompt=none goes with no other prompt")
    return parameters


def _max_age(parameters: dict[str, str]) -> int | None:
    """How old the sign-in at the provider may be, in seconds.

    `prompt=login` counts as 0: users can take the prompt out of the address, and only the
    `auth_time` that comes with `max_age` shows it.
    """
    value = parameters.pop("max_age", None)
    if value is not None and not _MAX_AGE.fullmatch(value):
        raise ParameterInvalid("max_age is no number of seconds")
    if "login" in parameters.get("prompt", "").split():
        return 0
    return None if value is None else int(value)


def _redirect(location: str, status: int) -> Response:
    """Never 307, which would repeat a POST with its body (RFC 9700, 4.12)."""
    return Response(status=status, headers={"Location": location})


def _forgotten(pending_logins: LoginTransactions, response: Response, name: str) -> Response:
    pending_logins.forget(response, name)
    return response


def _record_success(sign_in: SignIn, pending: LoginTransaction, key: str | None) -> None:
    """A weaker sign-in than was asked for is one all the same; what needs more will say so."""
    wanted = tuple((pending.acr_values or "").split())
    audit.record(
        "sign_in_succeeded",
        "ok",
        reason="" if is_strong(wanted, sign_in.identity) else "acr_not_reached",
        session_key=key,
        user=sign_in.identity.user,
    )


def _record_failure(error: BFFError) -> None:
    reason = f"{error.code}: {error.error}" if isinstance(error, SignInDenied) else error.code
    audit.record(
        "sign_in_failed",
        "failed" if error.status >= 500 else "refused",
        reason=reason,
        status=error.status,
    )
