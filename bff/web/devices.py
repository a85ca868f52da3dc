"""In which browsers is a user signed in, and how are those sessions ended? `/auth/sessions`."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify

from bff.access import session_cookie
from bff.access.session_guard import SessionGuard
from bff.config import Config
from bff.core.errors import SessionUnknown, SignInNotFresh
from bff.core.model import Session
from bff.sessions.lifecycle import Sessions
from bff.sessions.summary import session_summary

DEVICE_FIELDS = ("id", "browser", "created_at", "last_seen_at")
"""What users see of their own sessions, besides which one is the current."""


def create_blueprint(config: Config, guard: SessionGuard, sessions: Sessions) -> Blueprint:
    """Map the addresses of a user's sessions to `Devices`."""
    blueprint = Blueprint("devices", __name__)
    devices = Devices(config, guard, sessions)
    one, all_ = "/auth/sessions/<public_id>", "/auth/sessions"
    blueprint.add_url_rule(all_, view_func=devices.list_sessions)
    blueprint.add_url_rule(one, view_func=devices.end_session, methods=["DELETE"])
    blueprint.add_url_rule(all_, view_func=devices.end_others, methods=["DELETE"])
    return blueprint


class Devices:
    """The sessions of one user.

    Ending another session demands a recent sign-in. Otherwise an unlocked laptop would be enough
    to sign its owner out everywhere (ASVS 7.5.2). Ending the current session demands none.
    """

    def __init__(self, config: Config, guard: SessionGuard, sessions: Sessions) -> None:
        self._reauth_seconds = config.device_reauth_seconds
        self._fields = DEVICE_FIELDS + (("bound",) if config.device_binding != "off" else ())
        self._guard = guard
        self._sessions = sessions

    def list_sessions(self) -> Response:
        """`GET /auth/sessions`: all sessions of the user; none is extended by it."""
        current = self._guard.session(slide=False)
        found = [
            session_summary(session, self._sessions.public_id(session), self._fields)
            | {"current": session.key == current.key}
            for session in self._sessions.of_user(current)
        ]
        response = jsonify(sessions=found)
        response.headers["Cache-Control"] = "no-store"
        return response

    def end_session(self, public_id: str) -> tuple[str, int]:
        """`DELETE /auth/sessions/<public_id>`: end one session of the user.

        Raises:
            SessionUnknown: No session of this user has that id.
            SignInNotFresh: It is not the current session, and the last sign-in is too old.
        """
        current = self._guard.session()
        # Only the caller's own sessions are searched, so another user's id is unknown here.
        for session in self._sessions.of_user(current):
            if public_id in self._sessions.public_ids(session):
                if session.key == current.key:
                    session_cookie.current().clear_cookie()
                else:
                    self._demand_fresh_sign_in(current)
                self._sessions.end(session.key, "ended_by_user")
                return "", 204
        raise SessionUnknown

    def end_others(self) -> Response:
        """`DELETE /auth/sessions`: end all but the current session.

        Meant for after a change of password (ASVS 7.4.3).
        """
        current = self._guard.session()
        self._demand_fresh_sign_in(current)
        keys = [session.key for session in self._sessions.of_user(current)]
        others = [key for key in keys if key != current.key]
        return jsonify(ended=self._sessions.end_these(others, "ended_by_user"))

    def _demand_fresh_sign_in(self, session: Session) -> None:
        """Refuse if the user's last authentication is too old, or its time is unknown."""
        if not self._reauth_seconds:
            return
        authenticated_at = session.identity.authenticated_at
        if authenticated_at is None or session.read_at - authenticated_at > self._reauth_seconds:
            raise SignInNotFresh("the last sign-in is too old")
