"""Where am I signed in, and how do I sign out there? `/auth/sessions`."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, jsonify

from bff import cookie
from bff.errors import SessionUnknown
from bff.guard import Guard
from bff.model import Session
from bff.sessions import Sessions


def create_blueprint(guard: Guard, sessions: Sessions) -> Blueprint:
    """My devices: list them, end one."""
    blueprint = Blueprint("devices", __name__)

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
                sessions.end(session.key, "ended_by_user")
                if session.key == mine.key:
                    cookie.current().clear_cookie()
                return "", 204
        raise SessionUnknown

    return blueprint


def _described(session: Session, mine: Session, sessions: Sessions) -> dict[str, Any]:
    return {
        "id": sessions.public_id(session),
        "current": session.key == mine.key,
        "browser": session.identity.browser,
        "created_at": session.created_at,
        "last_seen_at": session.last_seen_at,
    }
