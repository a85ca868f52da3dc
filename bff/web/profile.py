"""Which user is signed in, and for how long? `GET /auth/profile`, for the SPA."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, jsonify, request

from bff.access.session_guard import SessionGuard
from bff.core.model import Session
from bff.sessions.lifecycle import Sessions
from bff.sessions.summary import session_summary


def create_blueprint(guard: SessionGuard, sessions: Sessions) -> Blueprint:
    """The SPA's session endpoint; only `?slide=true` extends the idle time."""
    blueprint = Blueprint("profile", __name__)

    @blueprint.get("/auth/profile")
    def profile() -> Response:
        session = guard.session(slide=request.args.get("slide") == "true")
        response = jsonify(_profile(session, sessions.public_id(session)))
        response.headers["Cache-Control"] = "no-store"
        return response

    return blueprint


def _profile(session: Session, public_id: str) -> dict[str, Any]:
    """What the SPA may know: the allowed claims and the seconds left, never a token."""
    now = session.read_at
    seconds_left = {
        "idle_seconds_left": _seconds_left(min(session.idle_ends_at, session.ends_at), now),
        "absolute_seconds_left": _seconds_left(session.ends_at, now),
        "access_token_seconds_left": _seconds_left(session.tokens.expires_at, now),
    }
    return {
        "user": session.identity.claims,
        "session": session_summary(session, public_id, ("id", "created_at")) | seconds_left,
        "logout_url": "/auth/logout",
    }


def _seconds_left(ends_at: int, now: float) -> int:
    return max(0, int(ends_at - now))
