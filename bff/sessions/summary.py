"""What may an administrator see of a session? Nothing that opens anything."""

from __future__ import annotations

from typing import Any

from bff.core.model import Session


def session_summary(session: Session, public_id: str) -> dict[str, Any]:
    """The session as it stands in a list, under the name that may be shown."""
    return {
        "id": public_id,
        "sub": session.identity.subject,
        "browser": session.identity.browser,
        "created_at": session.created_at,
        "last_seen_at": session.last_seen_at,
        "idle_ends_at": session.idle_ends_at,
        "absolute_ends_at": session.absolute_ends_at,
    }
