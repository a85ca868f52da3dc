"""Does each number of a worker arrive once, however much there is and whoever is away?"""

from __future__ import annotations

import socket
from typing import Any

from bff.cli.metrics.definitions import EVENTS, REQUESTS, UPSTREAM_SECONDS, WORKERS
from bff.cli.metrics.recorder import Recorder
from bff.cli.metrics.report import DATAGRAM_MAX_BYTES, Report, decode
from bff.cli.metrics.totals import SILENT_SECONDS, Totals


class Between:
    """A recorder, and the totals at the other end."""

    def __init__(self) -> None:
        self.receiver, sender = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.receiver.setblocking(False)
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * DATAGRAM_MAX_BYTES)
        self.sender, self.recorder = sender, Recorder(sender)
        self.now = 0.0
        self.totals = Totals(2, lambda: self.now)

    def receive(self) -> int:
        reports = 0
        while True:
            try:
                self.totals.add(decode(self.receiver.recv(DATAGRAM_MAX_BYTES)))
            except BlockingIOError:
                return reports
            reports += 1

    def sum(self, name: str) -> float:
        families = {family.name: family for family in self.totals.collect()}
        return float(sum(one.value for one in families[name].samples))

    def close(self) -> None:
        self.receiver.close()
        self.sender.close()


class Crowded(socket.socket):
    """A socket that has room for every third datagram only."""

    sent = 0

    def send(self, *arguments: Any) -> int:
        self.sent += 1
        if self.sent % 3:
            raise BlockingIOError
        return super().send(*arguments)


def test_what_finds_no_room_is_kept_for_the_next_time() -> None:
    between = Between()
    crowded = Crowded(fileno=between.sender.detach())
    recorder = Recorder(crowded)
    for number in range(300):
        recorder.series(REQUESTS, f"/api{number}", "GET", "2xx")(1)
    for _ in range(30):
        recorder.send()
        between.receive()
    assert between.sum("bff_http_requests") == 300
    crowded.close()
    between.close()


def test_the_longest_names_of_routes_fit_into_reports() -> None:
    between = Between()
    for number in range(60):
        between.recorder.series(UPSTREAM_SECONDS, f"/{number}" + "p" * 8000, "2xx")(0.3)
    for _ in range(60):
        between.recorder.send()
        between.receive()
    samples = next(f for f in between.totals.collect() if f.name == UPSTREAM_SECONDS.name).samples
    assert sum(one.value for one in samples if one.name.endswith("_count")) == 60
    between.close()


def test_a_recorder_without_an_exporter_goes_on() -> None:
    between = Between()
    between.receiver.close()
    for _ in range(3):
        between.recorder.series(EVENTS, "session_ended", "ok")(1)
        between.recorder.send()
    between.close()


def test_gauges_go_with_their_worker_and_counts_stay() -> None:
    between = Between()
    totals = between.totals
    totals.add(Report(1, [((EVENTS.name, ("session_ended", "ok")), [5.0])], {"bff_work_slots": 64}))
    totals.add(Report(2, [], {"bff_work_slots": 64}))
    assert (between.sum(WORKERS.name), between.sum("bff_work_slots")) == (2, 128)
    totals.add(Report(2, [], {}, is_last=True))
    assert (between.sum(WORKERS.name), between.sum("bff_work_slots")) == (1, 64)
    between.now = SILENT_SECONDS + 1
    assert (between.sum(WORKERS.name), between.sum("bff_work_slots")) == (0, 0)
    assert between.sum(EVENTS.name) == 5
    # Another process may get its number.
    totals.add(Report(1, [((EVENTS.name, ("session_ended", "ok")), [1.0])], {"bff_work_slots": 8}))
    assert (between.sum(EVENTS.name), between.sum("bff_work_slots")) == (6, 8)
    between.close()
