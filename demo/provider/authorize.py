"""How does a browser get a code? `/authorize`, its two forms, `prompt`, `max_age`, `acr_values`."""

from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from authlib.oauth2.rfc6749 import OAuth2Error
from flask import Flask, Response, request

from demo.provider import pages, par
from demo.provider.cookies import form_from_another_site, set_sso_cookie, sso_cookie
from demo.provider.oauth import DemoAuthorizationServer
from demo.provider.records import SSOSession
from demo.provider.second_step import ONE_TIME_CODE, is_requested, strengthen
from demo.provider.state import ProviderState

SIGN_IN_PROMPTS = ("login", "select_account")


def register(app: Flask, state: ProviderState, server: DemoAuthorizationServer) -> None:
    """Add the route to the application."""

    def authorize() -> Response:
        state.counts.add("authorize")
        refused = par.refusal(state.settings)
        if refused is not None:
            return pages.message_page("This request can't be answered", refused, 400)
        endpoint = _AuthorizeEndpoint(state, server)
        # Under the lock, so that no code is issued for a session that ends meanwhile.
        with state.lock:
            if request.method == "POST" and "username" in request.form:
                return endpoint.password_posted()
            if request.method == "POST" and "one_time_code" in request.form:
                return endpoint.code_posted()
            return endpoint.requested()

    app.add_url_rule("/authorize", view_func=authorize, methods=["GET", "POST"])


class _AuthorizeEndpoint:
    """One request to `/authorize`."""

    def __init__(self, state: ProviderState, server: DemoAuthorizationServer) -> None:
        self._state = state
        self._server = server

    def requested(self) -> Response:
        """Handle the client's request: a code at once, the form, or an error."""
        session = self._fresh_session()
        try:
            grant = self._server.get_consent_grant(end_user=session)
        except OAuth2Error as error:
            return self._refuse(error)
        if refusal := self._audience_refusal(grant):
            return refusal
        if grant.prompt in SIGN_IN_PROMPTS:
            return self._form()
        silent = "none" in request.values.get("prompt", "").split()
        if session is not None and not silent and self._wants_second_step(session):
            return self._second_form(session)
        return self._grant(grant, session)

    def password_posted(self) -> Response:
        """Handle the first form: a session and a code, or the form again."""
        if form_from_another_site():
            return pages.message_page("Not from here", "This form was sent by another site.", 403)
        username = request.form["username"]
        user = self._state.sso.check_password(username, request.form.get("password", ""))
        if user is None:
            self._state.counts.add("login.failed")
            return self._form("Wrong email or password.")
        cookie, session = self._state.sso.sign_in(user, sso_cookie())
        self._state.counts.add("login.ok")
        if self._wants_second_step(session):
            response = self._second_form(session)
        else:
            response = self._answer_to_form(session)
        set_sso_cookie(response, cookie, self._state.settings.sso_session_seconds)
        return response

    def code_posted(self) -> Response:
        """Handle the second form, filled in or skipped: a code for the client."""
        if form_from_another_site():
            return pages.message_page("Not from here", "This form was sent by another site.", 403)
        session = self._state.sso.of_cookie(sso_cookie())
        now = self._state.now()
        known = self._state.second_steps.take(request.form.get("ticket", ""), session, now)
        if session is None or not known:
            return self._form("That took too long. Please sign in again.")
        if "skip" not in request.form:
            if request.form["one_time_code"].strip() != ONE_TIME_CODE:
                self._state.counts.add("second_step.failed")
                return self._second_form(session, "That code is wrong.")
            strengthen(session, now)
            self._state.counts.add("second_step.ok")
        return self._answer_to_form(session)

    def _wants_second_step(self, session: SSOSession) -> bool:
        return is_requested(request.values.get("acr_values", ""), session)

    def _second_form(self, session: SSOSession, error: str | None = None) -> Response:
        self._state.counts.add("authorize.second_step_page")
        ticket = self._state.second_steps.begin(session, self._state.now())
        return pages.second_step_page(pages.this_request_again(), ticket, ONE_TIME_CODE, error)

    def _answer_to_form(self, session: SSOSession) -> Response:
        try:
            grant = self._server.get_consent_grant(end_user=session)
        except OAuth2Error as error:
            return self._refuse(error)
        return self._audience_refusal(grant) or self._grant(grant, session)

    def _fresh_session(self) -> SSOSession | None:
        """Return the browser's session, unless `max_age` requires a more recent sign-in."""
        session = self._state.sso.of_cookie(sso_cookie())
        max_age = request.values.get("max_age", "")
        if session is None or not max_age.isdecimal():
            return session
        age_seconds = self._state.now() - session.auth_time
        return session if age_seconds < int(max_age) else None

    def _grant(self, grant: Any, session: SSOSession | None) -> Response:
        if session is not None and session.user.blocked:
            return self._refuse(_error(grant, "unauthorized", "user is blocked"))
        response = self._server.create_authorization_response(grant=grant, grant_user=session)
        self._state.counts.add("authorize.ok")
        par.mark_used(self._state)
        return self._forged(response)

    def _audience_refusal(self, grant: Any) -> Response | None:
        audience = request.values.get("audience") or request.values.get("resource")
        if not audience or audience in self._state.settings.audiences:
            return None
        return self._refuse(_error(grant, "access_denied", "Service not found: " + audience))

    def _refuse(self, error: OAuth2Error) -> Response:
        self._state.counts.add(f"authorize.{error.error}")
        if not error.redirect_uri:
            # RFC 6749, section 4.1.2.1: never redirect to what was not registered.
            return pages.message_page("This request can't be answered", str(error), 400)
        response = self._server.handle_error_response(None, error)
        self._server.issuer_parameter.add_issuer_parameter(self._server, response)
        return self._forged(response)

    def _forged(self, response: Response) -> Response:
        forgery = self._state.forgeries.take_authorization()
        if forgery is not None and response.location:
            response.location = with_query(response.location, forgery.parameters())
        return response

    def _form(self, error: str | None = None) -> Response:
        self._state.counts.add("authorize.login_page")
        username = request.form.get("username") or request.values.get("login_hint", "")
        users = self._state.settings.users
        return pages.sign_in_page(
            pages.this_request_again(), username, users[0] if users else None, error
        )


def _error(grant: Any, code: str, description: str) -> OAuth2Error:
    readable = "".join(c for c in description if " " <= c <= "~" and c not in '"\\')
    return OAuth2Error(
        description=readable,
        error=code,
        redirect_uri=grant.redirect_uri,
        state=grant.request.payload.state,
    )


def with_query(url: str, parameters: dict[str, str]) -> str:
    """Return *url* with these query parameters; they replace those of the same name."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query, keep_blank_values=True)) | parameters
    return urlunsplit(parts._replace(query=urlencode(query)))
