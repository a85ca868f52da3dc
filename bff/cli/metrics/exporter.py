"""Which process has the sums of all workers, and listens for Prometheus?

One of its own, that the server starts before its workers. It ends with the server, also if that is
killed. If it should die or hang, the server goes on, and Prometheus sees that nobody responds.
"""

from __future__ import annotations

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

START_SECONDS = 30.0


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
        receiver, self.sender = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * DATAGRAM_MAX_BYTES)
        self._receiver = receiver
        self._started, self._tell = multiprocessing.Pipe(duplex=False)
        self._process: BaseProcess = multiprocessing.Process(
            target=_run, args=(receiver, self._tell, host, port, workers), daemon=True
        )

    def __enter__(self) -> Exporter:
        """Start it.

        Raises:
            CannotListen: It can't.
        """
        self._process.start()
        # Only that process reads: if it ends, the workers' reports fail at once.
        self._receiver.close()
        self._tell.close()
        if (problem := self._problem()) is not None:
            self.__exit__()
            raise CannotListen(problem)
        return self

    def _problem(self) -> str | None:
        try:
            if not self._started.poll(START_SECONDS):
                return "it doesn't start"
            problem: str | None = self._started.recv()
        except EOFError:
            return "it has ended"
        return problem

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.join()
        self.sender.close()


def _run(receiver: socket.socket, started: Connection, host: str, port: int, workers: int) -> None:
    # They are for the server, which may go on for a while.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    settings = config.load()
    sealer = Sealer([key.get_secret_value() for key in settings.secrets])
    totals = Totals(workers)
    registry = CollectorRegistry()
    registry.register(totals)
    registry.register(BacklogMetrics(Outbox(connect(settings), sealer)))
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
