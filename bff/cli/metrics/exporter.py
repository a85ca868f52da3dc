"""Which process has the sums of all workers, and listens for Prometheus?

One of its own, that the server starts before its workers. It ends with the server, also if that is
killed. If it dies, the server goes on and starts another one; if it hangs, Prometheus sees that
nobody responds.
"""

from __future__ import annotations

import logging
import multiprocessing
import signal
import socket
import threading
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from prometheus_client import CollectorRegistry, start_http_server

from bff import config
from bff.cli.metrics.backlog import BacklogMetrics
from bff.cli.metrics.report import DATAGRAM_MAX_BYTES, decode
from bff.cli.metrics.totals import Totals
from bff.core.sealing import Sealer
from bff.store.connection import connect
from bff.store.outbox import Outbox

log = logging.getLogger(__name__)

START_SECONDS = 30.0
AGAIN_SECONDS = 5.0
"""Between its death and the start of the next one, which may die as fast."""


class CannotListen(Exception):
    """The port can't be listened on; the text says why."""


class Exporter:
    """The process, as the server sees it; it ends with the `with` block.

    Args:
        host: The address to listen on.
        port: The port.
        workers: How many should report.

    Attributes:
        sender: For the workers' reports.
    """

    def __init__(self, host: str, port: int, workers: int) -> None:
        # This process keeps both ends, so that a report waits for the next exporter.
        self._receiver, self.sender = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * DATAGRAM_MAX_BYTES)
        self._where = host, port, workers
        self._stop = threading.Event()

    def __enter__(self) -> Exporter:
        """Start it.

        Raises:
            CannotListen: It can't.
        """
        self._process, problem = self._start()
        if problem is not None:
            self._process.kill()
            raise CannotListen(problem)
        threading.Thread(target=self._replace, name="bff-exporter", daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._process.kill()
        self._process.join()
        self.sender.close()
        self._receiver.close()

    def _start(self) -> tuple[BaseProcess, str | None]:
        """A new process, and why it doesn't listen."""
        started, tell = multiprocessing.Pipe(duplex=False)
        arguments = (self._receiver, tell, *self._where)
        process = multiprocessing.Process(target=_run, args=arguments, daemon=True)
        process.start()
        tell.close()
        try:
            if not started.poll(START_SECONDS):
                return process, "it doesn't start"
            problem: str | None = started.recv()
        except EOFError:
            return process, "it has ended"
        finally:
            started.close()
        return process, problem

    def _replace(self) -> None:
        """Start another one whenever it has died."""
        problem = None
        while True:
            self._process.join()
            if self._stop.is_set():
                return
            log.error(
                "the process with the metrics has died%s; another one begins at 0",
                f": {problem}" if problem else "",
            )
            if self._stop.wait(AGAIN_SECONDS):
                return
            self._process, problem = self._start()
            if problem is not None:
                self._process.kill()


def _run(receiver: socket.socket, started: Connection, host: str, port: int, workers: int) -> None:
    # They are for the server, which may go on for a while.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    settings = config.load()
    sealer = Sealer([key.get_secret_value() for key in settings.secrets])
    totals = Totals(workers)
    registry = CollectorRegistry()
    registry.register(totals)
    outbox = Outbox(connect(settings), sealer)
    # Nothing else looks at the files here, and Redis may want another password by now.
    registry.register(BacklogMetrics(outbox, before_look=settings.live_secrets.look))
    try:
        start_http_server(port, addr=host, registry=registry)
    except OSError as error:
        started.send(error.strerror or str(error))
        return
    started.send(None)
    threading.Thread(target=_receive, args=(receiver, totals), daemon=True).start()
    server = multiprocessing.parent_process()
    if server is not None:
        server.join()


def _receive(receiver: socket.socket, totals: Totals) -> None:
    while True:
        totals.add(decode(receiver.recv(DATAGRAM_MAX_BYTES)))
