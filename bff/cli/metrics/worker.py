"""What does a worker do when metrics are on?"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from bff.cli.metrics.definitions import (
    IN_PROGRESS,
    OPEN_RESPONSES,
    REDIS_PROBLEMS,
    SESSION_LOOKUPS,
    SLOTS,
    SLOTS_USED,
    WORKERS_READY,
)
from bff.cli.metrics.events import EventMetrics
from bff.cli.metrics.observer import OperationMetrics
from bff.cli.metrics.recorder import Recorder
from bff.core import audit, operations
from bff.core.background import Background
from bff.core.process_end import at_process_end
from bff.core.work_slots import WorkSlots
from bff.gateway.observed_requests import in_progress

if TYPE_CHECKING:
    from bff.app.services import Services

SEND_SECONDS = 1.0


class WorkerMetrics:
    """The metrics of this worker; made before the application.

    Args:
        sender: Leads to the process that has the sums.
    """

    def __init__(self, sender: socket.socket) -> None:
        self._recorder = Recorder(sender)
        operations.observers.append(OperationMetrics(self._recorder))
        for result, counts in operations.session_lookups.items():
            counts.append(self._recorder.series(SESSION_LOOKUPS, result))
        audit.watchers.append(EventMetrics(self._recorder).record)

    def start(self, services: Services, slots: WorkSlots) -> None:
        """Begin to send; the last time at the end of the process."""
        watch, provider = services.redis_watch, services.provider
        gauges = {
            IN_PROGRESS.name: in_progress.__len__,
            OPEN_RESPONSES.name: services.open_responses.count,
            SLOTS.name: lambda: slots.count,
            SLOTS_USED.name: slots.used,
            REDIS_PROBLEMS.name: lambda: len(watch.problems()),
            WORKERS_READY.name: lambda: int(watch.is_sound() and provider.ready),
        }
        Background([(SEND_SECONDS, lambda: self._recorder.send(gauges))]).start()
        at_process_end(lambda: self._recorder.send(is_last=True))
