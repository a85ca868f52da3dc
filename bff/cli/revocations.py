"""What waits to be revoked at the provider? `python -m bff revocations`, for people and cron jobs.

It shows no token. With `--older-than` the exit code is 1 if an entry has waited longer, so that a
cron job can alert. `--retry` tries every entry at once, due or not, and shows what still waits.
After an end of everyone hundreds of thousands may wait, so a page of them is shown and the rest is
counted.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import json
from typing import TYPE_CHECKING, Any

from bff.cli.exit_codes import OK, REVOCATION_OVERDUE

if TYPE_CHECKING:
    from bff.app.services import Services
    from bff.store import Entry

SHOWN = 100
HASH_PREFIX_CHARACTERS = 12
"""As in the audit log, so that its lines can be found by this output."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options."""
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--retry", action="store_true", help="try everything now")
    parser.add_argument(
        "--older-than",
        type=float,
        metavar="SECONDS",
        help="exit with 1 if anything has waited longer",
    )
    parser.add_argument(
        "--limit", type=_count, default=SHOWN, metavar="N", help=f"show so many ({SHOWN})"
    )
    parser.add_argument(
        "--offset", type=_count, default=0, metavar="N", help="leave out so many, the oldest"
    )


def run(options: argparse.Namespace, services: Services) -> int:
    """Print the entries of the outbox.

    Returns:
        The exit code: 0, or 1 if an entry is older than the limit.

    Raises:
        StoreUnavailable: Redis can't be reached.
    """
    confirmed = services.revocation.retry_all() if options.retry else 0
    now = services.stores.database.now()
    seen = itertools.count()
    each = (entry for entry, _ in zip(services.stores.outbox.each_waiting(), seen, strict=False))
    page_end = options.offset + options.limit
    # At least one, for `--older-than`. No more are kept in memory than are shown.
    oldest = heapq.nsmallest(max(1, page_end), each, key=lambda entry: entry.created_at)
    rows = [_row(entry, now) for entry in oldest[options.offset : page_end]]
    others = next(seen) - len(rows)
    if options.json:
        more = {"not_shown": others} if others else {}
        print(json.dumps({"confirmed": confirmed, "waiting": rows, **more}))
    else:
        _print(rows, others, confirmed, retried=options.retry)
    limit = options.older_than
    overdue = limit is not None and any(now - entry.created_at > limit for entry in oldest[:1])
    return REVOCATION_OVERDUE if overdue else OK


def _count(text: str) -> int:
    if (number := int(text)) < 0:
        raise ValueError
    return number


def _row(entry: Entry, now: float) -> dict[str, Any]:
    return {
        "age_seconds": max(0, round(now - entry.created_at)),
        "reason": entry.reason,
        "attempts": entry.attempts,
        "last_error": entry.last_error,
        "session": entry.session_key[:HASH_PREFIX_CHARACTERS] or None,
    }


def _print(rows: list[dict[str, Any]], others: int, confirmed: int, *, retried: bool) -> None:
    if retried:
        print(f"{confirmed} confirmed by the provider.")
    if not rows and not others:
        print("Nothing waits.")
        return
    shown = f", {len(rows)} of them here" if others else ""
    print(f"{len(rows) + others} wait, the oldest first{shown}:")
    print(f"{'age (s)':>10}  {'attempts':>8}  {'last error':<24}  {'session':<12}  reason")
    for row in rows:
        print(
            f"{row['age_seconds']:>10}  {row['attempts']:>8}  {row['last_error'] or '-':<24}  "
            f"{row['session'] or '-':<12}  {row['reason']}"
        )
