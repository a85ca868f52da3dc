"""Which commands are there? `python -m bff serve` for production, others for the person on call."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from bff import config
from bff.cli import revocations, routes, serve, sessions, signals
from bff.cli.check import command as check
from bff.cli.exit_codes import COMMAND_FAILED, OK, WRONG_USAGE
from bff.cli.logging_config import configure, log_config_error
from bff.core import audit
from bff.core.errors import BFFError, ConfigError
from bff.core.sealing import Sealer
from bff.core.version import __version__

MOVED = {"demo": "demo", "prove": "demo.prove"}
"""Commands of earlier versions, and the module that is started instead."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: What follows `python -m bff`; None for those of this process.

    Returns:
        The exit code: 0, 1 if the command failed, 2 if arguments or settings are wrong.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given and given[0] in MOVED:
        print(
            f"{given[0]!r} is no part of bff any more: python -m {MOVED[given[0]]}", file=sys.stderr
        )
        return WRONG_USAGE
    options = _parser().parse_args(given)
    command: Callable[[argparse.Namespace], int] = options.run
    try:
        return command(options)
    except ConfigError as error:
        if command is serve.run:
            log_config_error(error)
        else:
            print(error, file=sys.stderr)
        return WRONG_USAGE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bff", description=__doc__)
    parser.add_argument("--version", action="version", version=f"bff {__version__}")
    commands = parser.add_subparsers(required=True, metavar="command")
    add = commands.add_parser

    serving = add("serve", help="serve in production (Granian)")
    serve.add_arguments(serving)
    serving.set_defaults(run=serve.run)

    checking = add("check", help="is it set up right? settings, provider, Redis, upstreams")
    check.add_arguments(checking)
    checking.set_defaults(run=check.run)

    deny_list_key = add(
        "deny-list-key", help="show the key with which APIs read the deny-list; a secret"
    )
    deny_list_key.set_defaults(run=_deny_list_key)

    showing = add("routes", help="show the routes, or what they do with a request")
    routes.add_arguments(showing)
    showing.set_defaults(run=_routes)

    _add_services(add)
    return parser


def _add_services(add: Callable[..., argparse.ArgumentParser]) -> None:
    """The commands that work with what the servers work with."""
    waiting = add("revocations", help="what waits to be revoked at the provider")
    revocations.add_arguments(waiting)
    waiting.set_defaults(run=_with_services, command=revocations)

    ending = add("sessions", help="list and end sessions of a user, and lift an end")
    sessions.add_arguments(ending)
    ending.set_defaults(run=_with_services, command=sessions)

    streams = add("signals", help="set up a stream of security events (Shared Signals)")
    signals.add_arguments(streams)
    streams.set_defaults(run=_with_services, command=signals)


def _with_services(options: argparse.Namespace) -> int:
    """Run a command that needs Redis and the provider, without a server."""
    # Imported here, so that the other commands don't load it.
    from bff.app.services import build_services

    settings = config.load()
    configure()
    audit.origin.set("command")
    services = build_services(settings)
    try:
        return int(options.command.run(options, services))
    except ConfigError:
        raise  # `main` has the exit code for it.
    except BFFError as error:
        print(f"{error.code}: {error.message} {error.detail}".rstrip(), file=sys.stderr)
        return COMMAND_FAILED
    finally:
        services.provider.close()
        services.stores.database.client.close()


def _routes(options: argparse.Namespace) -> int:
    return routes.run(options, config.load())


def _deny_list_key(options: argparse.Namespace) -> int:
    """Print what an API's `TokenGuard` needs; nothing else of ours can be made with it."""
    sealer = Sealer([key.get_secret_value() for key in config.load().secrets])
    print(sealer.revoked_token_names.as_text())
    return OK
