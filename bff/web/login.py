"""How does a user sign in? The browser is sent to the provider and returns with a code.

`/auth/login` changes nothing on our side, so another site may link to it: a user who follows such
a link signs in as themselves, and `state` prevents a sign-in from being finished in another
browser (RFC 9700, 4.7). But it must be a page load of its own, not an image, a frame or a prefetch,
and only our own pages ask for a silent one.
Source: OpenID Connect Core 1.0, 3.1; RFC 9700; docs/architecture/sign-in.md.
"""

from __future__ import annotations

import logging

import msgspec
from flask import Blueprint, Response, after_this_request, request

from bff.access import session_cookie
from bff.access.browser_cookie import BrowserCookie
from bff.access.cookie_header import all_cookies, refuse_unreadable
from bff.access.device_binding import DeviceBinding
from bff.config import Config
from bff.core import audit
from bff.core.errors import (
    ParameterInvalid,
    ReturnToInvalid,
    SignInSpent,
    SignInTooOld,
    StateInvalid,
    StoreUnavailable,
)
from bff.core.model import LoginTransaction
from bff.core.sealing import Sealer
from bff.provider.oidc import Provider
from bff.sessions.lifecycle import Sessions
from bff.store.sign_in_attempts import SignInAttempts
from bff.web.code_exchange import CodeExchange, may_work_later
from bff.web.denial import denied
from bff.web.login_parameters import (
    asked_for,
    demand_login,
    for_provider,
    has_prompt_login,
    max_age_seconds,
    single,
    with_prompt,
)
from bff.web.login_transaction import LoginTransactions
from bff.web.own_host import address_on_our_host, is_from_our_page, refuse_silent_link
from bff.web.page_load import refuse_all_but_page_loads
from bff.web.provider_link import app_instead_of_callback, with_error
from bff.web.redirect import redirect
from bff.web.return_to import checked_return_to
from bff.web.session_start import begin_session, browser_id_for_sign_in
from bff.web.session_transfer import transfer_token
from bff.web.sign_in_audit import record_failure, record_success
from bff.web.sign_in_failure import failed, is_used_code, page_of_app

CODE_MAX_CHARACTERS = 4096

log = logging.getLogger(__name__)


def create_blueprint(
    config: Config,
    provider: Provider,
    sessions: Sessions,
    sealer: Sealer,
    attempts: SignInAttempts,
    binding: DeviceBinding | None = None,
) -> Blueprint:
    """Map the two addresses of a sign-in to a `LoginFlow`."""
    blueprint = Blueprint("login", __name__)
    browser = BrowserCookie(config)
    transactions, exchange = LoginTransactions(config, sealer), CodeExchange(provider, attempts)
    flow = LoginFlow(config, provider, exchange, sessions, transactions, browser, binding)
    blueprint.add_url_rule("/auth/login", view_func=flow.login)
    blueprint.add_url_rule("/auth/callback", view_func=flow.callback)
    blueprint.after_request(_keep_private)
    return blueprint


class LoginFlow:
    """Sends browsers to the provider, and starts a session when they return.

    Args:
        config: The settings.
        provider: Where users sign in.
        exchange: Sends the code of a sign-in, once.
        sessions: Stores finished sign-ins.
        transactions: The cookies of sign-ins that are under way.
        browser: The cookie by which the browser is known.
        binding: Lets browsers bind their sessions; None for none.
    """

    def __init__(
        self,
        config: Config,
        provider: Provider,
        exchange: CodeExchange,
        sessions: Sessions,
        transactions: LoginTransactions,
        browser: BrowserCookie,
        binding: DeviceBinding | None,
    ) -> None:
        self._config = config
        self._provider = provider
        self._exchange = exchange
        self._sessions = sessions
        self._transactions = transactions
        self._browser = browser
        self._binding = binding

    def login(self) -> Response:
        """`GET /auth/login`: redirect to the provider."""
        refuse_all_but_page_loads(request)
        if to_our_host := address_on_our_host(request, self._config):
            return redirect(to_our_host, 302)
        session_cookie.current().report_repeated()
        return_to = self._return_to()
        parameters = for_provider(request.args, self._config.passed_login_parameters)
        if self._config.accept_iat_for_auth_time:
            demand_login(parameters)
        transaction = self._transactions.begin(
            return_to=return_to,
            silent=parameters.get("prompt") == "none",
            max_age=max_age_seconds(parameters),
            organization=parameters.get("organization"),
            acr_values=parameters.get("acr_values"),
            old_session_key=session_cookie.current().session_key,
            browser_id=browser_id_for_sign_in(self._sessions, self._browser),
            prompt_login=has_prompt_login(parameters),
            keep_shared_cookie=session_cookie.current().shared_is_foreign,
            asked=parameters,
            dpop_jkt=self._provider.proofs.jkt_of_sign_in(),
        )
        try:
            if transaction.silent:
                refuse_silent_link(request, self._config)
            sent = parameters | transfer_token(request, self._config)
            return self._redirect_to_provider(self._fitting(transaction), sent)
        except Exception as error:
            return failed(transaction, error, self._config)

    def callback(self) -> Response:
        """`GET /auth/callback`: finish the sign-in and redirect to where it was started."""
        refuse_all_but_page_loads(request)
        session_cookie.current().report_repeated()
        if (to_app := app_instead_of_callback(request)) is not None:
            return redirect(to_app, 303)
        try:
            name, transaction = self._transaction()
        except StateInvalid as error:
            return redirect(self._page_without_transaction(error), 303)
        try:
            response = self._finish(transaction)
        except Exception as error:
            # While the provider is away the code is unused, or its tokens have reached nobody: the
            # same address works later, or leads to the page for a used code.
            if not may_work_later(error, transaction):
                self._delete_with_response(name)
                self._exchange.fail(transaction)
            if self._has_other_signed_in(error, transaction):
                return redirect(transaction.return_to, 303)
            return failed(transaction, error, self._config)
        self._delete_with_response(name)
        return response

    def _has_other_signed_in(self, error: Exception, transaction: LoginTransaction) -> bool:
        """Whether the code is used up since another request has finished the sign-in with it."""
        if isinstance(error, SignInSpent):
            return self._exchange.wait_for_other(transaction, self._is_signed_in)
        return is_used_code(error) and self._is_signed_in()

    def _is_signed_in(self) -> bool:
        own_key = session_cookie.current().session_key
        try:
            return self._sessions.is_signed_in(own_key, self._browser.ids(request))
        except StoreUnavailable:
            return False  # The failure that led here is told instead.

    def _delete_with_response(self, name: str) -> None:
        @after_this_request
        def delete_cookie(response: Response) -> Response:
            self._transactions.delete_cookie(response, name)
            return response

    def _page_without_transaction(self, error: StateInvalid) -> str:
        """Where to send a browser whose callback came again, too late, or from elsewhere.

        Raises:
            StateInvalid: *error*; its page leads to a sign-in that returns to the same page.
        """
        state = request.args.get("state", "")
        silent_return_to = self._transactions.silent_return_to(state)
        return_to, asked = self._transactions.begun_with(state)
        if silent_return_to is None and self._is_signed_in():
            return return_to or "/"
        record_failure(error)
        if silent_return_to is not None:
            return with_error(silent_return_to, error.code)
        error.return_to, error.sign_in_parameters = return_to, asked
        if (page := page_of_app(error, self._config)) is not None:
            return page
        raise error

    def _return_to(self) -> str:
        """The page to return to.

        A page of ours that can't be returned to costs its user the place, not the sign-in.

        Raises:
            ReturnToInvalid: A link of another site, or a typed address, names none of our pages.
        """
        try:
            return checked_return_to(single(request.args, "returnTo"), self._config)
        except ReturnToInvalid as error:
            if not is_from_our_page(request, self._config):
                raise
            log.warning("returnTo is refused, so this sign-in returns to /: %s", error.detail)
            return "/"

    def _fitting(self, transaction: LoginTransaction) -> LoginTransaction:
        """*transaction*, without its page if that makes it too large for a cookie."""
        if self._transactions.fits(transaction) or not is_from_our_page(request, self._config):
            return transaction
        log.warning("returnTo doesn't fit into a cookie, so this sign-in returns to /")
        return msgspec.structs.replace(transaction, return_to="/")

    def _redirect_to_provider(
        self, transaction: LoginTransaction, parameters: dict[str, str]
    ) -> Response:
        response = redirect(self._provider.authorization_url(transaction, parameters), 302)
        self._transactions.set_cookie(response, transaction, all_cookies(request.environ))
        if transaction.browser_id not in self._browser.ids(request):
            self._browser.set(response, transaction.browser_id)
        audit.record("sign_in_started", "ok", session_key=transaction.old_session_key)
        return response

    def _transaction(self) -> tuple[str, LoginTransaction]:
        """The transaction that `state` names, and the name of its cookie."""
        states = request.args.getlist("state")
        try:
            if len(states) != 1:
                raise StateInvalid("no state, or several")
            return self._transactions.find(states[0], all_cookies(request.environ))
        except StateInvalid as error:
            refuse_unreadable(request.environ)
            raise error

    def _finish(self, transaction: LoginTransaction) -> Response:
        try:
            code = self._authorization_code(transaction)
            sign_in = self._exchange.sign_in(code, transaction)
            begin_session(self._sessions, sign_in, transaction, self._browser, self._binding)
        except SignInTooOld as error:
            # The provider's own session is older than an end of all sessions. Ask the provider
            # once more, for a real authentication; some heed only one of prompt and max_age.
            if transaction.repeated or transaction.silent:
                raise
            second = self._transactions.repeat(transaction, error.watermark_at)
            asked = with_prompt(asked_for(second), "login")
            del asked["max_age"]  # The provider gets the transaction's.
            return self._redirect_to_provider(second, asked)
        record_success(sign_in, transaction)
        return redirect(transaction.return_to, 303)

    def _authorization_code(self, transaction: LoginTransaction) -> str:
        """The code of an authorization response (OpenID Connect Core, 3.1.2.5 and 3.1.2.6).

        Raises:
            IssuerMismatch: The response is from another provider.
            SignInDenied: The provider returned an error instead.
            ParameterInvalid: It returned neither, or a parameter is repeated.
        """
        # Some providers write `error=` beside the code; no value is no parameter (RFC 6749, 3.1).
        error, code = single(request.args, "error") or None, single(request.args, "code")
        self._provider.check_issuer_parameter(single(request.args, "iss"))
        if error is not None:
            description = single(request.args, "error_description")
            raise denied(error, description, transaction, self._config)
        if not code or len(code) > CODE_MAX_CHARACTERS:
            raise ParameterInvalid("the response has neither a code nor an error")
        return code


def _keep_private(response: Response) -> Response:
    """These addresses carry codes: store nothing and send no referrer, for errors too."""
    response.headers["Cache-Control"] = "no-store"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response
