"""What is written down when something that matters for security happens?

One JSON line for each event, on the logger `bff.audit`, with fixed fields and no room for a token:
a value is a short word, a number or a hash prefix. Nothing that a caller sent can break a line or
hide in one, since JSON is written in ASCII (CWE-117). docs/audit.md explains every event and field.
"""

from __future__ import annotations

import json
import logging
import secrets
import threading
from collections import Counter
from collections.abc import Callable
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Literal

from flask import g, has_request_context, request

log = logging.getLogger("bff.audit")

Event = Literal[
    "sign_in_started", "sign_in_succeeded", "sign_in_failed", "request_refused",
    "token_refreshed", "token_refresh_failed", "route_token_issued", "route_token_failed",
    "session_ended", "token_revoked",
    "revocation_queued", "revocation_failed", "revocation_given_up", "seal_invalid", "stream_ended",
    "admin_called", "event_received", "unexpected_error",
]  # fmt: skip
"""Every event there is; docs/audit.md describes each."""

Outcome = Literal["ok", "refused", "failed"]

HASH_PREFIX_CHARACTERS = 12
REASON_MAX_CHARACTERS = 200
USER_MAX_CHARACTERS = 255
RULE_MAX_CHARACTERS = 300

origin: ContextVar[str] = ContextVar("origin", default="background")
"""Where events come from that no request causes; the commands set it to `command`."""

NameUser = Callable[[str, str], str | None]

counts: Counter[tuple[str, str]] = Counter()
"""How often each (event, outcome) happened in this process, for a metrics endpoint to read."""
_counting = threading.Lock()

_name_user: NameUser = lambda issuer, subject: None  # noqa: E731 - A variable with a default.


def name_users(naming: NameUser) -> None:
    """Say how a user, given by issuer and subject, is called in the log (`BFF_AUDIT_USER`)."""
    global _name_user
    _name_user = naming


def request_id() -> str:
    """The id by which the request being served is found in every log; made when first needed."""
    if "request_id" not in g:
        g.request_id = secrets.token_hex(8)
    return str(g.request_id)


def record(
    event: Event,
    outcome: Outcome,
    *,
    reason: str = "",
    session_key: str | None = None,
    user: tuple[str, str] | None = None,
    caller: str | tuple[str, str] | None = None,
    status: int | None = None,
    rule: str | None = None,
) -> None:
    """Write one audit line.

    Args:
        event: What happened.
        outcome: How it went.
        reason: A stable code or a short text; never a token, code, cookie or address.
        session_key: The session's hash; only a prefix of it is written.
        user: Whose session, by issuer and subject; written as `name_users` says.
        caller: Which program asked for it: a short word, or issuer and subject of its token.
        status: The HTTP status that was answered or received.
        rule: By which rule of a route a token was asked for (`TokenRule.name`).
    """
    with _counting:
        counts[event, outcome] += 1
    line = {
        "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "event": event,
        "outcome": outcome,
        "reason": reason[:REASON_MAX_CHARACTERS],
        "origin": _origin(),
        "user": _named(user),
        "caller": caller if isinstance(caller, str) else _named(caller),
        "session": session_key[:HASH_PREFIX_CHARACTERS] if session_key else None,
        "status": status,
        "rule": rule[:RULE_MAX_CHARACTERS] if rule else None,
        "request_id": request_id() if has_request_context() else None,
    }
    log.log(logging.INFO if outcome == "ok" else logging.WARNING, json.dumps(line))


def _named(user: tuple[str, str] | None) -> str | None:
    name = _name_user(*user) if user else None
    return name[:USER_MAX_CHARACTERS] if name else None


def _origin() -> str:
    """Which group of routes was asked, or what else is at work."""
    return (request.blueprint or "application") if has_request_context() else origin.get()
