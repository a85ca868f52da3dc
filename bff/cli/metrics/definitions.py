"""Which metrics are there? Names, labels and buckets; docs/metrics.md has this as a table.

No label has values without bound: no path, no user, no session, no text that a caller chooses.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from bff.core.errors import BFFError
from bff.core.operations import FAILED

FAST = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Seconds; for Redis."""
SLOW = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Seconds; for requests."""

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER = "other"
"""Any value that isn't known."""
END_REASONS = frozenset({
    "logout", "ended_by_user", "signed_in_again", "signed_in_as_another", "superseded",
    "redis_lost_data", "too_many_sessions", "timed_out", "refresh_refused", "address_ended",
    "access_token_expired", "deleted_by_application", "backchannel_logout", "admin", "command",
    "global_token_revocation", "log_stream", "shared_signal",
})  # fmt: skip
"""Of the table in docs/audit.md, without what follows a colon."""


def _codes(error: type[BFFError]) -> Iterator[str]:
    yield error.code
    for one in error.__subclasses__():
        yield from _codes(one)


ERROR_CODES = frozenset(_codes(BFFError))
"""Those of docs/errors.md."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric, as Prometheus sees it.

    A counter's name has no `_total` here. Series of `known` labels are there from the start, at 0:
    else nobody could see the first increase.
    """

    name: str
    kind: Literal["counter", "histogram", "gauge"]
    description: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    known: tuple[tuple[str, ...], ...] = ()


def _words(*words: str) -> tuple[tuple[str, ...], ...]:
    return tuple((word,) for word in words)


REQUESTS = Metric(
    "bff_http_requests", "counter",
    "requests; `route` is the prefix of a route or the name of an endpoint, "
    "`status` the class (`2xx`)", ("route", "method", "status"),
)  # fmt: skip
REQUEST_SECONDS = Metric(
    "bff_http_request_duration_seconds", "histogram",
    "from a request to the beginning of its response, waits included", ("route",), SLOW,
)  # fmt: skip
IN_PROGRESS = Metric(
    "bff_http_requests_in_progress", "gauge",
    "requests whose response hasn't begun; each has a thread",
)  # fmt: skip
UPSTREAM_SECONDS = Metric(
    "bff_upstream_response_duration_seconds", "histogram",
    "from a request to an upstream to the head of its response; `outcome` is the class of the "
    "status, or `failed`", ("route", "outcome"), SLOW,
)  # fmt: skip
ERROR_RESPONSES = Metric(
    "bff_error_responses", "counter",
    "error responses of the BFF itself; `code` as in docs/errors.md, such as `overloaded`",
    ("code",), known=_words(*sorted(ERROR_CODES)),
)  # fmt: skip
REFRESHES = Metric(
    "bff_token_refreshes", "counter",
    "renewals of sessions' access tokens; `refused` ends the session", ("outcome",),
    known=_words("ok", "refused", FAILED),
)  # fmt: skip
ROUTE_TOKENS = Metric(
    "bff_route_tokens", "counter", "tokens for routes", ("outcome",),
    known=_words("ok", "refused", FAILED),
)  # fmt: skip
REFRESH_WAIT_SECONDS = Metric(
    "bff_refresh_wait_seconds", "histogram",
    "waits for a renewal that another request makes: in the same `process`, or in another one, "
    "which has the `lock`", ("at",), SLOW, _words("process", "lock"),
)  # fmt: skip
SIGN_INS = Metric(
    "bff_sign_ins", "counter",
    "sign-ins that ended; `reason` is the code of the error, empty for `ok`",
    ("outcome", "reason"), known=(("ok", ""),),
)  # fmt: skip
ENDS = Metric(
    "bff_sessions_ended", "counter",
    "ends of sessions; `reason` as in docs/audit.md, without what follows a colon", ("reason",),
    known=_words(*sorted(END_REASONS)),
)  # fmt: skip
REVOCATIONS = Metric(
    "bff_revocations", "counter",
    "attempts to revoke a refresh token: `confirmed` by the provider, `queued` for another try, "
    "`failed` until the set-up is changed, `given_up` once the token has expired", ("outcome",),
    known=_words("confirmed", "queued", FAILED, "given_up"),
)  # fmt: skip
EVENTS = Metric("bff_audit_events", "counter", "lines of the audit log", ("event", "outcome"))
OPEN_RESPONSES = Metric(
    "bff_open_responses", "gauge", "responses of upstreams that aren't complete, such as streams"
)
SLOTS = Metric("bff_work_slots", "gauge", "`--threads` of all workers together")
SLOTS_USED = Metric("bff_work_slots_used", "gauge", "those in use")
REDIS_SECONDS = Metric(
    "bff_redis_command_duration_seconds", "histogram",
    "round trips to Redis; `outcome` is `ok` or `failed`", ("outcome",), FAST,
    _words("ok", FAILED),
)  # fmt: skip
PROVIDER_SECONDS = Metric(
    "bff_provider_request_duration_seconds", "histogram",
    "requests to the provider; `outcome` is the class of the status, or `failed`", ("outcome",),
    SLOW, _words("2xx", "4xx", "5xx", FAILED),
)  # fmt: skip
SESSION_LOOKUPS = Metric(
    "bff_session_lookups", "counter",
    "sessions that requests looked up in the session cache: `cached`, or `read` from Redis",
    ("result",),
    known=_words("cached", "read"),
)  # fmt: skip
WAITING = Metric(
    "bff_revocations_waiting", "gauge", "entries of the outbox, in Redis; the same at each replica"
)
OLDEST_SECONDS = Metric(
    "bff_revocations_oldest_age_seconds", "gauge",
    "how long the oldest of them waits, 0 without any; it grows while Redis can't be read",
)  # fmt: skip
READABLE = Metric(
    "bff_revocations_readable", "gauge", "1 if the last look at the outbox succeeded, else 0"
)
REDIS_PROBLEMS = Metric(
    "bff_redis_problems", "gauge", "words in `problems` on `/readyz`, of all workers together"
)
WORKERS_READY = Metric(
    "bff_workers_ready", "gauge",
    "workers that would serve with this Redis, and know the provider's metadata and keys",
)  # fmt: skip
WORKERS = Metric("bff_workers", "gauge", "workers that have reported within ten seconds")
WORKERS_EXPECTED = Metric("bff_workers_expected", "gauge", "`--workers`")
BUILD = Metric("bff_build_info", "gauge", "always 1", ("version", "python"))

OF_WORKERS = (
    REQUESTS, REQUEST_SECONDS, IN_PROGRESS, UPSTREAM_SECONDS, ERROR_RESPONSES, REFRESHES,
    ROUTE_TOKENS, REFRESH_WAIT_SECONDS, SIGN_INS, ENDS, REVOCATIONS, EVENTS, OPEN_RESPONSES, SLOTS,
    SLOTS_USED, REDIS_SECONDS, PROVIDER_SECONDS, SESSION_LOOKUPS, REDIS_PROBLEMS, WORKERS_READY,
)  # fmt: skip
"""Those that workers collect."""
ALL = (*OF_WORKERS, WAITING, OLDEST_SECONDS, READABLE, WORKERS, WORKERS_EXPECTED, BUILD)
