"""How does the person on call see and end sessions, and lift an end? `python -m bff sessions`."""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bff.cli.exit_codes import OK
from bff.core import audit
from bff.core.errors import BFFError
from bff.core.model import Group
from bff.sessions.summary import session_summary

if TYPE_CHECKING:
    from bff.app.services import Services

REASON = "command"
CALLER = "command"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The three subcommands and their options."""
    actions = parser.add_subparsers(required=True, metavar="action", dest="action")
    listing = actions.add_parser("list", help="the sessions of a user")
    ending = actions.add_parser("end", help="end a user's sessions, or one of them")
    allowing = actions.add_parser("allow", help="accept sign-ins from before an end again")
    for action in (listing, ending, allowing):
        whose = action.add_mutually_exclusive_group(required=True)
        whose.add_argument("--user", type=_text, metavar="SUB", help="the provider's id")
        whose.add_argument("--email", type=_text, metavar="EMAIL", help="as in the ID token")
        if action is not listing:
            whose.add_argument("--everyone", action="store_true", help="all sessions of all users")
            action.add_argument("--reason", type=_reason, help="for the audit log")
        if action is ending:
            action.add_argument("--id", type=_text, help="only this one, as the list calls it")
        action.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace, services: Services) -> int:
    """List or end sessions, or lift an end of many; each call writes an audit line.

    Returns:
        The exit code, 0.

    Raises:
        SessionUnknown: The user has no session with that `--id`.
        StoreUnavailable: Redis can't be reached; some sessions may not have ended.
    """
    group = _group(options, services.config.issuer)
    try:
        result = ACTIONS[options.action](options, services, group)
    except BFFError as error:
        outcome: audit.Outcome = "failed" if error.status >= 500 else "refused"
        _record(options, group, outcome, error.code)
        raise
    _record(options, group, "ok", result)
    return OK


def _list(options: argparse.Namespace, services: Services, group: Group) -> str:
    sessions = services.sessions
    found = [session_summary(s, sessions.public_id(s)) for s in sessions.of_group(group)]
    if options.json:
        print(json.dumps({"sessions": found}))
        return f"found {len(found)}"
    if not found:
        print("No sessions.")
    for one in found:
        # Values from outside are escaped: they could hold control characters for the terminal.
        print(
            f"{one['id']}  {_time(one['created_at'])}  {_time(one['last_seen_at'])}  "
            f"{_escaped(one['browser']) or '-'}  {_escaped(one['sub'])}"
        )
    return f"found {len(found)}"


def _end(options: argparse.Namespace, services: Services, group: Group) -> str:
    if options.id is not None:
        ended = services.sessions.end_named(group, options.id, REASON)
    else:
        ended = services.sessions.end_group(group, REASON)
    if options.json:
        print(json.dumps({"ended": ended}))
    else:
        print(f"{ended} ended. Their refresh tokens are revoked by the servers that run;")
        print("python -m bff revocations shows what still waits.")
    return f"ended {ended}"


def _allow(options: argparse.Namespace, services: Services, group: Group) -> str:
    watermarks = services.stores.watermarks
    lifted = watermarks.lift(group)
    # An end of everyone counts for each user, too, and a newer end has not been lifted.
    still_at = watermarks.newest_of([group, Group.everyone()])
    if options.json:
        print(json.dumps({"lifted": int(lifted), "still_refused_before": still_at}))
    else:
        print("Lifted: older sign-ins are accepted again." if lifted else "Nothing to lift.")
        if still_at is not None:
            print(f"Sign-ins from before {_time(still_at)} are refused by another end: of")
            print("everyone (--everyone), or a newer one.")
    return f"lifted {int(lifted)}"


ACTIONS = {"list": _list, "end": _end, "allow": _allow}


def _group(options: argparse.Namespace, issuer: str) -> Group:
    if options.user is not None:
        return Group.of_user(issuer, options.user)
    if options.email is not None:
        return Group.of_email(issuer, options.email)
    return Group.everyone()


def _record(options: argparse.Namespace, group: Group, outcome: audit.Outcome, result: str) -> None:
    given = f' "{options.reason}"' if options.action != "list" and options.reason else ""
    reason = f"{options.action} {group.kind}: {result}{given}"
    audit.record("admin_called", outcome, reason=reason, user=group.user, caller=CALLER)


def _time(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _escaped(text: str) -> str:
    return json.dumps(text)[1:-1].replace("\x7f", "\\u007f")


def _text(text: str) -> str:
    """An argument that isn't empty and is valid UTF-8."""
    text.encode()  # Raises UnicodeEncodeError, a ValueError, which argparse reports.
    if not text:
        raise ValueError
    return text


def _reason(text: str) -> str:
    if len(text) > audit.REASON_MAX_CHARACTERS:
        raise ValueError
    return _text(text)
