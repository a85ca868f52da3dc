"""Which fields of a session may its user or an administrator see? None that grants access."""

from __future__ import annotations

from typing import Any

from bff.core.model import Session

ADMIN_FIELDS = (
    "id", "sub", "browser", "created_at", "last_seen_at", "idle_ends_at", "absolute_ends_at",
)  # fmt: skip


def session_summary(
    session: Session, public_id: str, fields: tuple[str, ...] = ADMIN_FIELDS
) -> dict[str, Any]:
    """Return the *fields* of a session, in that order.

    Args:
        session: The session.
        public_id: Its public id (`Sessions.public_id`), which is shown instead of its key.
        fields: Some or all of `ADMIN_FIELDS`, and `bound`.
    """
    summary = {
        "id": public_id,
        "sub": session.identity.subject,
        "browser": session.identity.browser,
        "created_at": session.created_at,
        "last_seen_at": session.last_seen_at,
        "idle_ends_at": min(session.idle_ends_at, session.ends_at),
        "absolute_ends_at": session.ends_at,
        "bound": session.bound_at is not None,
    }
    return {field: summary[field] for field in fields}
