"""Where am I signed in, and how do I sign out there? `/auth/sessions`."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, jsonify

from bff.access import session_cookie
from bff.access.session_guard import SessionGuard
from bff.config import Config
from bff.core.errors import SessionUnknown, SignInNotFresh
from bff.core.model import Session
from bff.sessions.lifecycle import Sessions


def create_blueprint(config: Config, guard: SessionGuard, sessions: Sessions) -> Blueprint:
    """My devices: list them, end one, end all others.

    Ending another one takes a recent sign-in, or whoever finds an open laptop could sign its owner
    out everywhere (ASVS 7.5.2); ending the one in hand doesn't.
    """
    blueprint = Blueprint("devices", __name__)
    reauth_seconds = config.device_reauth_seconds

    @blueprint.get("/auth/sessions")
    def list_sessions() -> Response:
        mine = guard.session(slide=False)
        found = [_described(session, mine, sessions) for session in sessions.of_user(mine)]
        response = jsonify(sessions=found)
        response.headers["Cache-Control"] = "no-store"
        return response

    @blueprint.delete("/auth/sessions/<public_id>")
    def end_session(public_id: str) -> tuple[str, int]:
        mine = guard.session()
        # Looked up among the caller's own only, so another user's id is an unknown one.
        for session in sessions.of_user(mine):
            if public_id in sessions.public_ids(session):
                if session.key == mine.key:
                    session_cookie.current().clear_cookie()
                else:
                    _demand_fresh_sign_in(mine, reauth_seconds)
                sessions.end(session.key, "ended_by_user")
                return "", 204
        raise SessionUnknown

    @blueprint.delete("/auth/sessions")
    def end_others() -> Response:
        """All but this one: what one does after changing a password (ASVS 7.4.3)."""
        mine = guard.session()
        _demand_fresh_sign_in(mine, reauth_seconds)
        others = [session.key for session in sessions.of_user(mine) if session.key != mine.key]
        return jsonify(ended=sessions.end_these(others, "ended_by_user"))

    return blueprint


def _demand_fresh_sign_in(session: Session, reauth_seconds: int) -> None:
    """Refuse if the person was last authenticated too long ago, or nobody knows when."""
    authenticated_at = session.identity.auth_time
    if not reauth_seconds:
        return
    if authenticated_at is None or session.read_at - authenticated_at > reauth_seconds:
        raise SignInNotFresh("the last sign-in is too old")


def _described(session: Session, mine: Session, sessions: Sessions) -> dict[str, Any]:
    return {
        "id": sessions.public_id(session),
        "current": session.key == mine.key,
        "browser": session.identity.browser,
        "created_at": session.created_at,
        "last_seen_at": session.last_seen_at,
    }
