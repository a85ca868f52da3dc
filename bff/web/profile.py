"""Who is signed in, and for how long? `GET /auth/profile` tells the SPA."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, jsonify, request

from bff.access.session_guard import SessionGuard
from bff.core.model import Session
from bff.sessions.lifecycle import Sessions


def create_blueprint(guard: SessionGuard, sessions: Sessions) -> Blueprint:
    """The SPA's session endpoint; it doesn't keep the session alive unless `?slide=true`."""
    blueprint = Blueprint("profile", __name__)

    @blueprint.get("/auth/profile")
    def profile() -> Response:
        session = guard.session(slide=request.args.get("slide") == "true")
        response = jsonify(described(session, sessions.public_id(session)))
        response.headers["Cache-Control"] = "no-store"
        return response

    return blueprint


def described(session: Session, public_id: str) -> dict[str, Any]:
    """What the SPA may know: the allowed claims and seconds left, never a token."""
    now = session.read_at
    return {
        "user": session.identity.claims,
        "session": {
            "id": public_id,
            "created_at": session.created_at,
            "idle_seconds_left": _left(session.idle_ends_at, now),
            "absolute_seconds_left": _left(session.absolute_ends_at, now),
            "access_token_seconds_left": _left(session.tokens.expires_at, now),
        },
        "logout_url": "/auth/logout",
    }


def _left(ends_at: int, now: float) -> int:
    return max(0, int(ends_at - now))
