"""How do tests and the demo control the provider? With JSON requests below `/_control/`.

Every request needs the header `X-Control-Key`. `_routes` lists the endpoints.
"""

import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from flask import Blueprint, Flask, Response, abort, jsonify, request

from demo.provider.backchannel import BackChannel
from demo.provider.faults import Fault
from demo.provider.forgery import AuthorizationForgery, IDTokenForgery
from demo.provider.records import Client, User
from demo.provider.state import ProviderState

BACKCHANNEL_WAIT_SECONDS = 10
USER_ACTIONS = ("end-sessions", "block", "unblock", "password")


def register(app: Flask, state: ProviderState, backchannel: BackChannel) -> None:
    """Add the control routes to the application."""
    control = Blueprint("control", __name__, url_prefix="/_control")

    @control.before_request
    def only_with_the_key() -> None:
        given = request.headers.get("X-Control-Key", "")
        if not secrets.compare_digest(given.encode(), state.settings.control_key.encode()):
            abort(403)

    @control.errorhandler(ValueError)
    @control.errorhandler(TypeError)
    def bad_request(error: Exception) -> tuple[Response, int]:
        return jsonify(error=str(error)), 400

    for method, path, view in _routes(state, backchannel):
        control.add_url_rule(path, f"{method} {path}", view, methods=[method])
    app.register_blueprint(control)


def _routes(
    state: ProviderState, backchannel: BackChannel
) -> list[tuple[str, str, Callable[..., Response]]]:
    endpoints = _ControlEndpoints(state, backchannel)
    return [
        ("GET", "/faults", lambda: jsonify(state.faults.listing())),
        ("POST", "/faults", endpoints.add_fault),
        ("DELETE", "/faults", endpoints.clear_faults),
        ("GET", "/counts", lambda: jsonify(state.counts.listing())),
        ("DELETE", "/counts", endpoints.clear_counts),
        ("GET", "/tokens", lambda: jsonify(state.ledger.listing())),
        ("POST", "/users/<user>/<action>", endpoints.act_on_user),
        ("GET", "/backchannel", lambda: jsonify(backchannel.deliveries())),
        ("POST", "/backchannel", endpoints.send_logout_tokens),
        ("POST", "/keys/rotate", endpoints.rotate_keys),
        ("POST", "/id_token", endpoints.forge_id_tokens),
        ("POST", "/authorize", endpoints.forge_authorizations),
        ("POST", "/discovery", endpoints.change_discovery),
        ("POST", "/clock", endpoints.advance_clock),
        ("POST", "/lifetimes", endpoints.change_lifetimes),
    ]


class _ControlEndpoints:
    """The views of the control routes."""

    def __init__(self, state: ProviderState, backchannel: BackChannel) -> None:
        self._state = state
        self._backchannel = backchannel

    def add_fault(self) -> Response:
        self._state.faults.add(Fault(**_body()))
        return _no_content()

    def clear_faults(self) -> Response:
        """Remove all faults and forgeries; requests that hang continue."""
        self._state.faults.clear()
        self._state.forgeries.clear()
        return _no_content()

    def clear_counts(self) -> Response:
        self._state.counts.clear()
        return _no_content()

    def act_on_user(self, user: str, action: str) -> Response:
        """End the SSO sessions of a user; a block and a new password do so, too.

        Logout tokens are sent, except after a block: Auth0 lists no initiator for it.
        """
        found = self._state.sso.user(user)
        if found is None or action not in USER_ACTIONS:
            abort(404)
        body = _body()
        if action == "password":
            found.password = str(body["password"])
        if action in ("block", "unblock"):
            found.blocked = action == "block"
        if action == "unblock":
            return _no_content()
        return self._end_sessions(found, body.get("backchannel", action != "block"))

    def _end_sessions(self, user: User, tell_clients: bool) -> Response:
        with self._state.lock:
            sessions = self._state.sso.matching(sub=user.sub)
            self._state.sso.end(sessions)
            if tell_clients:
                self._backchannel.sessions_ended(sessions)
        return jsonify(ended=[session.sid for session in sessions])

    def send_logout_tokens(self) -> Response:
        """Send logout tokens for `sub` or `sid` to every client with a back-channel logout URI.

        `client_id` selects one client; `typ` and `override` change the tokens; the response lists
        the deliveries.
        """
        body = _body()
        user = self._state.sso.user(body["sub"]) if body.get("sub") else None
        sub = user.sub if user else body.get("sub")
        sending = [
            self._backchannel.send(
                client, sub, body.get("sid"), body.get("typ"), body.get("override")
            )
            for client in self._clients_to_tell(body.get("client_id"))
        ]
        return jsonify([sent.result(BACKCHANNEL_WAIT_SECONDS) for sent in sending])

    def _clients_to_tell(self, client_id: str | None) -> list[Client]:
        return [
            client
            for client in self._state.clients.values()
            if client.settings.backchannel_logout_uri and client_id in (None, client.client_id)
        ]

    def rotate_keys(self) -> Response:
        with self._state.lock:
            return jsonify(kid=self._state.keys.rotate(bool(_body().get("drop_old"))))

    def forge_id_tokens(self) -> Response:
        self._state.forgeries.add_id_token(IDTokenForgery(**_body()))
        return _no_content()

    def forge_authorizations(self) -> Response:
        self._state.forgeries.add_authorization(AuthorizationForgery(**_body()))
        return _no_content()

    def change_discovery(self) -> Response:
        self._state.forgeries.change_discovery(_body())
        return _no_content()

    def advance_clock(self) -> Response:
        """Advance the provider's clock, so that tests needn't wait for overlap and lifetimes."""
        self._state.clock_ahead_seconds += float(_body()["advance_seconds"])
        return _no_content()

    def change_lifetimes(self) -> Response:
        """Set the lifetime of access tokens that are issued from now on."""
        seconds = int(_body()["access_token_seconds"])
        self._state.settings = replace(self._state.settings, access_token_seconds=seconds)
        return _no_content()


def _body() -> dict[str, Any]:
    body = request.get_json(silent=True)
    if body is None and not request.get_data():
        return {}
    if not isinstance(body, dict):
        raise ValueError("the body must be a JSON object")
    return body


def _no_content() -> Response:
    return Response(status=204)
