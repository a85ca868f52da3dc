"""What does the audit log contain for each event that matters for security?

One JSON line on the logger `bff.audit`, with fixed fields. A value is a short word, a number or a
prefix of a hash; no field can contain a token. The JSON is ASCII, so nothing that a caller sent can
break a line or hide in one (CWE-117). docs/audit.md explains every event and field.
"""

from __future__ import annotations

import json
import logging
import threading
from collections import Counter
from collections.abc import Callable
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Literal

from flask import has_request_context, request

from bff.core import signals, trace_ids
from bff.core.request_id import request_id

log = logging.getLogger("bff.audit")

Event = Literal[
    "sign_in_started", "sign_in_succeeded", "sign_in_failed", "request_refused",
    "token_refreshed", "token_refresh_failed", "route_token_issued", "route_token_failed",
    "session_ended", "token_revoked",
    "revocation_queued", "revocation_failed", "revocation_given_up", "seal_invalid", "stream_ended",
    "admin_called", "event_received", "unexpected_error", "cookie_repeated",
    "device_bound", "device_refused", "device_unbound_by_browser",
]  # fmt: skip
"""All events."""

Outcome = Literal["ok", "refused", "failed"]

HASH_PREFIX_CHARACTERS = 12
REASON_MAX_CHARACTERS = 200
USER_MAX_CHARACTERS = 255
RULE_MAX_CHARACTERS = 300

origin: ContextVar[str] = ContextVar("origin", default="background")
"""The `origin` of an event outside a request; the commands set it to `command`."""

NameUser = Callable[[str, str], str | None]

counts: Counter[tuple[str, str]] = Counter()
"""The number of lines for each (event, outcome) in this process, for a metrics endpoint."""
_counting = threading.Lock()

watchers: list[Callable[[Event, Outcome, str], object]] = []
"""Called with the event, outcome and reason of each line; they must not raise."""


def _no_name(issuer: str, subject: str) -> str | None:
    return None


_name_user: NameUser = _no_name


def name_users(naming: NameUser) -> None:
    """Set how the log names a user, given by issuer and subject (`BFF_AUDIT_USER`).

    This is a global of the module, like the logger itself: if one process makes two applications,
    both name users as the last one is configured.
    """
    global _name_user
    _name_user = naming


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
    """Write one audit line; and tell receivers of the event's signal, if it has one.

    Args:
        event: What happened.
        outcome: Whether it succeeded.
        reason: A stable code or a short text; never a token, code, cookie or address.
        session_key: The session's hash; the line has a prefix of it.
        user: Issuer and subject of the session's user; `name_users` decides what is written.
        caller: The program that caused it: a short word, or issuer and subject of its token.
        status: The HTTP status that was sent or received.
        rule: The rule of the route for which a token was requested (`TokenRule.name`).
    """
    with _counting:
        counts[event, outcome] += 1
    for tell in watchers:
        tell(event, outcome, reason)
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
        "trace_id": trace_ids.trace_id(),
    }
    log.log(logging.INFO if outcome == "ok" else logging.WARNING, json.dumps(line))
    if outcome == "ok" and event in signals.BY_EVENT:
        signals.BY_EVENT[event].tell(user, reason)


def _named(user: tuple[str, str] | None) -> str | None:
    name = _name_user(*user) if user else None
    return name[:USER_MAX_CHARACTERS] if name else None


def _origin() -> str:
    """The blueprint of the current request, or the work outside of requests."""
    return (request.blueprint or "application") if has_request_context() else origin.get()
