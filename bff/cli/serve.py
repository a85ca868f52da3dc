"""How does the server run in production? `python -m bff serve`, with Granian."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import signal
import socket
import sys
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from bff import config
from bff.cli.exit_codes import COMMAND_FAILED, OK
from bff.cli.logging_config import configure, exit_at_config_error, logging_config, tell
from bff.core.errors import ConfigError
from bff.core.operations import observers
from bff.core.work_slots import WorkSlots

if TYPE_CHECKING:
    from multiprocessing.synchronize import Lock

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment
    from flask import Flask

    from bff.cli.draining import Draining, DrainingServer
    from bff.cli.metrics.worker import WorkerMetrics

OTHER_FILES = 512
"""For connections to Redis, the provider and APIs."""
IDLE_THREAD_SECONDS = 600
"""Granian's maximum."""
IDLE_CONNECTION_SECONDS = 30
"""For the next request, and for its headers. Proxies in front must close idle connections earlier,
or they send a request on one that is being closed."""
HEADERS_MAX_BYTES = 64 * 1024
"""Of request line and headers; beyond it Granian answers 431, or 414, by itself."""
HEALTH_PATHS = ("/healthz", "/readyz")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options."""
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    add("--port", type=_port, default=8000, help="port to listen on (%(default)s)")
    add("--workers", type=_positive, default=1, help="processes, one per core (%(default)s)")
    add(
        "--threads",
        type=_positive,
        default=64,
        help="requests worked on at once per process; those that wait for a client or an API don't "
        "count (%(default)s)",
    )
    add(
        "--connections",
        type=_positive,
        default=4096,
        help="connections at once per process, as far as its file handles suffice (%(default)s)",
    )
    _add_start_and_stop(parser)


def _add_start_and_stop(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--drain-seconds",
        type=_not_negative,
        default=0,
        help="how long requests are taken after SIGTERM, while /readyz is 503 already: longer than "
        "a load balancer needs to notice (%(default)s)",
    )
    add(
        "--grace-seconds",
        type=_positive,
        default=35,
        help="how long a stop waits for requests in flight (%(default)s)",
    )
    add(
        "--no-start-check",
        dest="start_check",
        action="store_false",
        help="don't look for a wrong set-up in the background, as `check` does, and log it",
    )
    add(
        "--metrics-port",
        type=_port,
        help="also show metrics to Prometheus, on a port of their own (off)",
    )
    add(
        "--metrics-host",
        default="127.0.0.1",
        help="address of that port; whoever reaches it can read them (%(default)s)",
    )


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def _not_negative(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError
    return number


def _port(text: str) -> int:
    number = _positive(text)
    if number > 65535:
        raise ValueError
    return number


def run(options: argparse.Namespace) -> int:
    """Serve until SIGTERM or Ctrl-C; requests in flight are finished.

    The settings are checked here, once, before any process is started.

    Returns:
        The exit code: 0, or 1 if the address can't be listened on.

    Raises:
        ConfigError: A setting is wrong, or a route leads back to this server.
    """
    configure()
    routes_to_itself = config.routes_to(config.load(), options.host, options.port)
    if routes_to_itself:
        raise ConfigError(
            [f"route {one}: upstream: is this server itself" for one in routes_to_itself]
        )
    problem = _address_problem(options.host, options.port)
    if problem:
        return _cannot_listen(options.host, options.port, problem)
    if options.metrics_port is not None:
        return _run_with_metrics(options)
    _serve(options)
    return OK


def _cannot_listen(host: str, port: int, problem: object) -> int:
    tell(f"Can't listen on {host}:{port}: {problem}.")
    return COMMAND_FAILED


def _run_with_metrics(options: argparse.Namespace) -> int:
    # Imported here: without metrics nothing of them is loaded.
    from bff.cli.metrics.exporter import CannotListen, Exporter

    host, port = options.metrics_host, options.metrics_port
    if port == options.port:
        return _cannot_listen(host, port, "--metrics-port is the port of the application")
    try:
        with Exporter(host, port, options.workers) as exporter:
            _serve(options, exporter.sender)
    except CannotListen as error:
        return _cannot_listen(host, port, error)
    return OK


def _serve(options: argparse.Namespace, reports: socket.socket | None = None) -> None:
    from bff.cli.draining import Draining

    server, draining = _server(options), Draining()
    server.draining, server.drain_seconds = draining, options.drain_seconds
    # The first worker that gets it looks, and keeps it.
    look_once = multiprocessing.Lock() if options.start_check else None
    load = partial(_application, options.threads, draining, look_once, reports)
    server.serve(target_loader=load, wrap_loader=False)


def _server(options: argparse.Namespace) -> DrainingServer:
    # Imported here, so that the other commands don't load it.
    from granian.constants import HTTPModes, Interfaces
    from granian.http import HTTP1Settings

    from bff.cli.draining import DrainingServer

    connections = _connections(options.connections)
    return DrainingServer(
        "bff.app.factory:create_app",
        address=_found(options.host, options.port)[-1][0],
        port=options.port,
        interface=Interfaces.WSGI,
        workers=options.workers,
        # A thread for each connection, made when it is needed: however many requests wait for slow
        # clients or APIs, the next one has a thread. `WorkSlots` limits those that work.
        blocking_threads=connections,
        # A request that comes while idle threads end may be left without one (Granian 2.8).
        blocking_threads_idle_timeout=IDLE_THREAD_SECONDS,
        backpressure=connections,
        # A killed worker is replaced; one that fails at its start ends the server.
        respawn_failed_workers=True,
        workers_kill_timeout=options.grace_seconds,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(
            header_read_timeout=IDLE_CONNECTION_SECONDS * 1000, max_buffer_size=HEADERS_MAX_BYTES
        ),
        websockets=False,
        log_dictconfig=logging_config(),
        # Its access log would show query strings, which hold the codes of sign-ins.
        log_access=False,
    )


def _connections(wanted: int) -> int:
    """How many connections a process can have; raises its limit of file handles if it may."""
    limit, highest = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + OTHER_FILES
    if limit != resource.RLIM_INFINITY and limit < needed:
        limit = needed if highest == resource.RLIM_INFINITY else min(needed, highest)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, highest))
        return max(limit - OTHER_FILES, limit // 2)
    return wanted


def _application(
    threads: int, draining: Draining, look_once: Lock | None, reports: socket.socket | None
) -> Flask:
    """Make the application in a worker, and remove the secrets from the worker's environment.

    Granian copies the environment into every request's `environ`, where an error page or a
    debugging tool may show it.
    """
    # Granian's own handlers come once the application is made; until then a fork has those of the
    # main process, which forget the signal, and the stop would wait for the whole grace.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    if draining.has_begun():
        sys.exit()  # The signal came before that.
    # Imported here, so that only the workers load it.
    from bff.app.factory import create_app
    from bff.cli.check import start_log
    from bff.cli.draining import UntilClosed
    from bff.gateway.observed_requests import ObservedRequests

    metrics = _metrics(reports) if reports is not None else None
    app = exit_at_config_error(create_app)
    slots = WorkSlots(threads)
    layer = UntilClosed(_Working(app.wsgi_app, slots), draining)
    app.wsgi_app = ObservedRequests(layer) if observers else layer  # type: ignore[method-assign]
    for name in app.extensions["bff"].config.secret_variables:
        os.environ.pop(name, None)
    if metrics is not None:
        metrics.start(app.extensions["bff"], slots)
    if look_once is not None and look_once.acquire(block=False):
        start_log.look(app.extensions["bff"].config)
    return app


def _metrics(reports: socket.socket) -> WorkerMetrics:
    from bff.cli.metrics.worker import WorkerMetrics

    return WorkerMetrics(reports)


class _Working:
    """A WSGI layer: a request takes a slot to be worked on; health checks need none."""

    def __init__(self, application: WSGIApplication, slots: WorkSlots) -> None:
        self._next = application
        self._slots = slots

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] in HEALTH_PATHS:
            return self._next(environ, start_response)
        self._slots.take()
        try:
            return self._next(environ, start_response)
        finally:
            self._slots.give_back()


def _address_problem(host: str, port: int) -> str | None:
    """Why the address can't be listened on, or None.

    Granian sets SO_REUSEPORT, so a second server on the same port would start, too, and get half of
    the requests.
    """
    try:
        family, *_, place = _found(host, port)
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
    except OSError as error:
        return error.strerror or str(error)
    return None


def _found(host: str, port: int) -> tuple[Any, ...]:
    """What a name or an address stands for, IPv4 first; Granian takes no names."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return min(found, key=lambda one: one[0] != socket.AF_INET)
