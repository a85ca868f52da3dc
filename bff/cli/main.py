"""Which commands are there? `python -m bff serve` for production, others for the person on call."""

from __future__ import annotations

import argparse
import importlib
import logging.config
import os
import socket
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

from bff import config
from bff.core.errors import BFFError, ConfigError

if TYPE_CHECKING:
    from flask import Flask

ON_CALL = {
    "revocations": "what waits to be revoked at the provider",
    "sessions": "list and end sessions of a user",
}
"""The commands in `bff.cli`, for the person on call."""
MOVED = {"demo": "demo", "prove": "demo.prove"}
"""Commands of earlier versions, and the module that is started instead."""
COMMAND_FAILED = 1
WRONG_SETTINGS = 2


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
        return WRONG_SETTINGS
    options = _parser().parse_args(given)
    command: Callable[[argparse.Namespace], int] = options.run
    try:
        return command(options)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return WRONG_SETTINGS


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bff", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")
    serve = commands.add_parser("serve", help="serve in production (Granian)")
    serve.set_defaults(run=_serve)
    add = serve.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    add("--port", type=int, default=8000, help="port to listen on (%(default)s)")
    add("--workers", type=_positive, default=1, help="processes, one per core (%(default)s)")
    add("--threads", type=_positive, default=64, help="requests at once per process (%(default)s)")
    add(
        "--grace-seconds",
        type=_positive,
        default=35,
        help="how long a stop waits for requests in flight (%(default)s)",
    )
    deny_list_key = commands.add_parser(
        "deny-list-key", help="show the key with which APIs read the deny-list; a secret"
    )
    deny_list_key.set_defaults(run=_deny_list_key)
    routes = commands.add_parser("routes", help="show the routes, or what they do with a request")
    _command_module("routes").add_arguments(routes)
    routes.set_defaults(run=_routes)
    for name, about in ON_CALL.items():
        on_call = commands.add_parser(name, help=about)
        _command_module(name).add_arguments(on_call)
        on_call.set_defaults(run=_run_on_call, command=name)
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def _command_module(name: str) -> ModuleType:
    return importlib.import_module(f"bff.cli.{name}")


def _run_on_call(options: argparse.Namespace) -> int:
    """A command that works on what the servers work on, without one."""
    from bff.core import audit
    from bff.services import build_services

    settings = config.load()
    logging.config.dictConfig(_log_config())
    audit.origin.set("command")
    services = build_services(settings)
    try:
        return int(_command_module(options.command).run(options, services))
    except BFFError as error:
        print(f"{error.code}: {error.message} {error.detail}".rstrip(), file=sys.stderr)
        return COMMAND_FAILED
    finally:
        services.provider.close()
        services.database.client.close()


def _routes(options: argparse.Namespace) -> int:
    """A command that needs the settings only."""
    return int(_command_module("routes").run(options, config.load()))


def _deny_list_key(options: argparse.Namespace) -> int:
    """Print what an API's `TokenGuard` needs; nothing else of ours can be made with it."""
    from bff.core.sealing import Sealer

    sealer = Sealer([key.get_secret_value() for key in config.load().secrets])
    print(sealer.revoked_token_names.as_text())
    return 0


def _serve(options: argparse.Namespace) -> int:
    """Serve until SIGTERM or Ctrl-C; requests in flight are finished.

    The settings are checked here, once, before any process is started.
    """
    from granian import Granian
    from granian.constants import HTTPModes, Interfaces

    own = config.routes_to(config.load(), options.host, options.port)
    if own:
        raise ConfigError([f"route {one}: upstream: is this server itself" for one in own])
    problem = _address_problem(options.host, options.port)
    if problem:
        print(f"Can't listen on {options.host}:{options.port}: {problem}.", file=sys.stderr)
        return COMMAND_FAILED
    server = Granian(
        "bff.app:create_app",
        address=options.host,
        port=options.port,
        interface=Interfaces.WSGI,
        workers=options.workers,
        blocking_threads=options.threads,
        # A worker that was killed is replaced; one that fails at its start ends the server.
        respawn_failed_workers=True,
        workers_kill_timeout=options.grace_seconds,
        http=HTTPModes.http1,
        websockets=False,
        log_dictconfig=_log_config(),
        # Its access log would show query strings, and there the codes of sign-ins.
        log_access=False,
    )
    server.serve(target_loader=_application, wrap_loader=False)
    return 0


def _application() -> Flask:
    """Make the application in a worker, and take the secrets out of the worker's environment.

    Granian copies the environment into every request's `environ`, where an error page or a
    debugging tool may show it.
    """
    from bff.app import create_app

    app = create_app()
    for name in app.extensions["bff"].config.secret_variables:
        os.environ.pop(name, None)
    return app


def _address_problem(host: str, port: int) -> str | None:
    """Why nobody can listen there.

    Granian shares its port with whoever else shares it (SO_REUSEPORT), so a second server on the
    same port would start and take half of the requests.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.strerror or str(error)
    return None


def _log_config() -> dict[str, Any]:
    """Everything goes to stderr: an audit line as it is, the others with time and logger."""
    stream = {"class": "logging.StreamHandler", "stream": "ext://sys.stderr"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "bare": {"format": "%(message)s"},
            "line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"},
        },
        "handlers": {
            "audit": stream | {"formatter": "bare"},
            "others": stream | {"formatter": "line"},
        },
        "loggers": {
            "bff.audit": {"level": "INFO", "handlers": ["audit"], "propagate": False},
            "_granian": {"level": "INFO", "handlers": ["others"], "propagate": False},
        },
        # Authlib writes the code verifier at DEBUG, so nothing goes below INFO.
        "root": {"level": "INFO", "handlers": ["others"]},
    }
