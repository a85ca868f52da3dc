"""What is written down when something that matters for security happens?

One JSON line for each event, on the logger `bff.audit`, with fixed fields and no room for a token:
a value is a short word, a number or a hash prefix. Control characters can't break a line, since
JSON escapes them (CWE-117).
"""

from __future__ import annotations

import json
import logging
import secrets
from collections import Counter
from datetime import UTC, datetime
from typing import Literal

from flask import g, has_request_context

log = logging.getLogger("bff.audit")

Event = Literal[
    "sign_in_started", "sign_in_succeeded", "sign_in_failed", "request_refused",
    "token_refreshed", "token_refresh_failed", "session_ended", "token_revoked",
    "revocation_queued", "revocation_given_up", "seal_invalid", "stream_ended", "unexpected_error",
]  # fmt: skip
"""Every event there is; docs/audit.md describes each."""

HASH_PREFIX_CHARACTERS = 12
REASON_MAX_CHARACTERS = 200

counts: Counter[tuple[str, str]] = Counter()
"""How often each (event, outcome) happened in this process, for a metrics endpoint to read."""


def request_id() -> str:
    """The id by which the request being served is found in every log; made when first needed."""
    if "request_id" not in g:
        g.request_id = secrets.token_hex(8)
    return str(g.request_id)


def record(
    event: Event,
    outcome: Literal["ok", "refused", "failed"],
    *,
    reason: str = "",
    session_key: str | None = None,
    status: int | None = None,
) -> None:
    """Write one audit line.

    Args:
        event: What happened.
        outcome: How it went.
        reason: A stable code or a short text; never a token, code, cookie or address.
        session_key: The session's hash; only a prefix of it is written.
        status: The HTTP status that was answered or received.
    """
    counts[event, outcome] += 1
    line = {
        "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "event": event,
        "outcome": outcome,
        "reason": reason[:REASON_MAX_CHARACTERS],
        "session": session_key[:HASH_PREFIX_CHARACTERS] if session_key else None,
        "status": status,
        "request_id": request_id() if has_request_context() else None,
    }
    log.log(logging.INFO if outcome == "ok" else logging.WARNING, json.dumps(line))
