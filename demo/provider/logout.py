"""How does a browser sign out at the provider? `/oidc/logout` and Auth0's older `/v2/logout`.

Neither revokes a refresh token, as at Auth0.
"""

from typing import Any

from authlib.oauth2.rfc6749 import OAuth2Error
from authlib.oidc.rpinitiated import EndSessionEndpoint
from flask import Flask, Response, request
from joserfc.jwk import KeySet

from demo.provider import pages
from demo.provider.backchannel import BackChannel
from demo.provider.cookies import clear_sso_cookie, form_from_another_site, sso_cookie
from demo.provider.oauth import DemoAuthorizationServer
from demo.provider.records import Client
from demo.provider.state import ProviderState


def register(
    app: Flask, state: ProviderState, server: DemoAuthorizationServer, backchannel: BackChannel
) -> None:
    """Add the routes to the application."""
    server.register_endpoint(EndSession(state, backchannel))

    def oidc_logout() -> Response:
        state.counts.add("logout")
        return _oidc_logout(state, server)

    def v2_logout() -> Response:
        state.counts.add("logout")
        return _v2_logout(state, backchannel)

    app.add_url_rule("/oidc/logout", view_func=oidc_logout, methods=["GET", "POST"])
    app.add_url_rule("/v2/logout", view_func=v2_logout)


def _oidc_logout(state: ProviderState, server: DemoAuthorizationServer) -> Response:
    try:
        requested = server.validate_endpoint_request("end_session")
    except OAuth2Error as error:
        return _refused(state, str(error.description))
    if request.values.get("post_logout_redirect_uri") and not requested.redirect_uri:
        return _refused(state, "post_logout_redirect_uri is not registered for this client.")
    if _needs_confirmation(state, requested):
        state.counts.add("logout.confirmation")
        return pages.confirm_logout_page(pages.this_request_again())
    response: Response | None = server.create_endpoint_response("end_session", requested)
    return _signed_out(state, response)


def _v2_logout(state: ProviderState, backchannel: BackChannel) -> Response:
    return_to = request.args.get("returnTo")
    if return_to and not _may_return_to(state, return_to):
        return _refused(state, "returnTo is not registered.")
    end_browser_session(state, backchannel, None)
    response = Response(status=302, headers={"Location": return_to}) if return_to else None
    return _signed_out(state, response)


class EndSession(EndSessionEndpoint):  # type: ignore[misc] # Authlib has no types.
    """RP-Initiated Logout 1.0, sections 2 and 3, with Auth0's `logout_hint` being a `sid`."""

    def __init__(self, state: ProviderState, backchannel: BackChannel) -> None:
        super().__init__()
        self._state = state
        self._backchannel = backchannel

    def get_server_jwks(self) -> KeySet:
        return self._state.keys.key_set()

    def get_algorithms(self) -> list[str]:
        return ["RS256"]

    def is_post_logout_redirect_uri_legitimate(
        self, request: Any, post_logout_redirect_uri: str, client: Client, logout_hint: str | None
    ) -> bool:
        # Auth0 accepts client_id alone; the address was checked before.
        return True

    def end_session(self, end_session_request: Any) -> None:
        claims = end_session_request.id_token_claims or {}
        end_browser_session(self._state, self._backchannel, claims.get("sid"))


def end_browser_session(state: ProviderState, backchannel: BackChannel, sid: str | None) -> None:
    """End the browser's session, and the one with the `sid` of a verified ID token."""
    with state.lock:
        sessions = state.sso.matching(sid=sid) if sid else []
        if session := state.sso.of_cookie(sso_cookie()):
            sessions.append(session)
        ended = {session.sid: session for session in sessions}
        state.sso.end(ended.values())
        backchannel.sessions_ended(ended.values())


def _needs_confirmation(state: ProviderState, requested: Any) -> bool:
    """RP-Initiated Logout, section 6: without a matching hint the user has to confirm."""
    session = state.sso.of_cookie(sso_cookie())
    if request.method == "POST" and "confirmed" in request.form:
        return form_from_another_site()
    if session is None:
        return False
    claims = requested.id_token_claims or {}
    return session.sid not in (claims.get("sid"), requested.logout_hint)


def _may_return_to(state: ProviderState, return_to: str) -> bool:
    client = state.client(request.args.get("client_id"))
    clients = [client] if client else list(state.clients.values())
    return any(return_to in c.settings.post_logout_redirect_uris for c in clients)


def _signed_out(state: ProviderState, response: Response | None) -> Response:
    state.counts.add("logout.ok")
    response = response or pages.message_page("You are signed out", "You can close this page.")
    clear_sso_cookie(response)
    return response


def _refused(state: ProviderState, why: str) -> Response:
    state.counts.add("logout.refused")
    return pages.message_page("This sign-out can't be done", why, 400)
