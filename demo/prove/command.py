"""Which options does `python -m demo.prove` have, and what does it run?"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

from demo.child import ChildFailed
from demo.prove import remote, report
from demo.prove.installation import Installation
from demo.prove.rows import Row, Table
from demo.prove.scenarios import IDS, run_some
from demo.redis.embedded import NoRedis

BROKEN = 1
START_FAILED = 2
INTERRUPTED = 130


def main(
    arguments: Sequence[str] | None = None,
    replica_environment: Mapping[str, str] | None = None,
) -> int:
    """Run the proof.

    Args:
        arguments: What follows `python -m demo.prove`.
        replica_environment: More variables for the BFF processes; the tests of the proof start
            broken builds with them.

    Returns:
        0 if no row is broken; 1 if one is; 2 if it couldn't start.
    """
    options = parsed(sys.argv[1:] if arguments is None else arguments)
    _check_options(options)
    interruption = Interruption()
    printer = report.Printer()

    def show(row: Row) -> None:
        interruption.check()
        if not options.json:
            printer.row(row)

    table = Table(show)
    try:
        if not options.json:
            printer.head(_subject(options))
        _run(options, table, replica_environment or {})
    except (ChildFailed, NoRedis) as error:
        print(error, file=sys.stderr)
        return START_FAILED
    except KeyboardInterrupt:
        print("Stopped. Nothing is left running.", file=sys.stderr)
        return INTERRUPTED
    print(report.as_json(table.rows) if options.json else f"\n{report.summary(table.rows)}")
    return 0 if table.held else BROKEN


def _run(options: argparse.Namespace, table: Table, replica_environment: Mapping[str, str]) -> None:
    if options.url is None:
        with Installation(options.replicas, replica_environment) as installation:
            run_some(installation, table, options.only)
        return
    deployment = remote.Deployment(
        url=options.url.rstrip("/"),
        cookie=options.cookie,
        api_path=options.api_path,
        tries=options.tries,
        access_token=options.access_token,
        api_url=options.api_url,
    )
    remote.run(deployment, table)


def _check_options(options: argparse.Namespace) -> None:
    if (options.url is None) != (options.cookie is None):
        _parser().error("--url and --cookie go together")
    if (options.access_token is None) != (options.api_url is None):
        _parser().error("--access-token and --api-url go together")


def _subject(options: argparse.Namespace) -> str:
    where = options.url or f"{options.replicas} replicas on this machine"
    return f"Is a logout final? {where}."


class Interruption:
    """Makes SIGINT and SIGTERM a KeyboardInterrupt, so that the programs are stopped in order.

    Python drops an exception that is raised while a finalizer runs, so `check` raises it again.
    """

    def __init__(self) -> None:
        self._came = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._raise)

    def _raise(self, *_: object) -> NoReturn:
        self._came = True
        raise KeyboardInterrupt

    def check(self) -> None:
        """Raise KeyboardInterrupt if a signal has come."""
        if self._came:
            raise KeyboardInterrupt


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """The options. One cookie in 64 begins with a dash, and argparse takes that for an option."""
    joined: list[str] = []
    for argument in arguments:
        if joined and joined[-1] in ("--cookie", "--access-token"):
            joined[-1] += f"={argument}"
        else:
            joined.append(argument)
    return _parser().parse_args(joined)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m demo.prove",
        description="Tries after each kind of logout whether copied cookies and tokens still work. "
        "Without --url, everything is started on this machine.",
        epilog="Secrets can be given in a file, one argument on each line, so that other users of "
        "this machine can't read them: python -m demo.prove @file",
        fromfile_prefix_chars="@",
    )
    add = parser.add_argument
    add("--replicas", type=_positive, default=3, help="BFF processes to start (%(default)s)")
    add(
        "--only",
        type=_scenarios,
        default=IDS,
        metavar="A,B",
        help=f"run only these sections: {', '.join(IDS)}",
    )
    add("--json", action="store_true", help="print JSON and nothing else")
    there = parser.add_argument_group("a running deployment")
    add = there.add_argument
    add("--url", help="its address, such as https://app.example.com")
    add("--cookie", help="the value of a session cookie; the session is signed out")
    add("--api-path", default="/items", help="a path under /api that allows GET (%(default)s)")
    add("--tries", type=_positive, default=20, help="attempts of each attack (%(default)s)")
    add("--access-token", help="an access token of that session, to try at the API itself")
    add("--api-url", help="an address of the API itself that accepts the token")
    return parser


def _scenarios(text: str) -> tuple[str, ...]:
    chosen = tuple(text.split(","))
    if unknown := set(chosen) - set(IDS):
        raise argparse.ArgumentTypeError(f"there is no section {', '.join(sorted(unknown))}")
    return chosen


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number
