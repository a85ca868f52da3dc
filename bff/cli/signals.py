"""How is a stream of security events set up at its transmitter? `python -m bff signals`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bff.app.services import Services


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The four subcommands and their options."""
    actions = parser.add_subparsers(required=True, metavar="action", dest="action")
    creating = actions.add_parser("create", help="create a stream of the events that end sessions")
    creating.add_argument(
        "--delivery", choices=("poll", "push"), required=True, help="does it push, or do we poll?"
    )
    listing = actions.add_parser("list", help="the streams that there are")
    verifying = actions.add_parser("verify", help="does an event of the transmitter arrive?")
    verifying.add_argument(
        "--wait", type=_seconds, metavar="SECONDS", help="for the event; 0: don't wait"
    )
    deleting = actions.add_parser("delete", help="delete a stream")
    for action in (verifying, deleting):
        action.add_argument("--stream", metavar="ID", help="if there are several")
    for action in (creating, listing, verifying, deleting):
        action.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace, services: Services) -> int:
    """Manage streams; returns and raises as `signal_actions.act`."""
    # Imported here, so that the other commands don't load it.
    from bff.cli.signal_actions import act

    return act(options, services)


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds <= 86_400:
        raise ValueError
    return seconds
