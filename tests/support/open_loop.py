"""How does a test send requests at a rate, however long the responses take (an open loop)?

Clients that wait for a response before they send the next request spare a server that stalls.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self


class OpenLoop:
    """Sends while its `with` block lasts.

    Args:
        per_second: How many requests.
        sends: What is sent, one after the other, again and again. Each is called with the number of
            the request, and raises if the request fails.
        at_once: The threads; as many requests may be under way.
    """

    def __init__(
        self, per_second: float, sends: Sequence[Callable[[int], None]], at_once: int = 64
    ) -> None:
        self._per_second = per_second
        self._sends = sends
        self._numbers = itertools.count()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._send) for _ in range(at_once)]
        self.failed: list[str] = []
        """What was wrong with each request that failed."""
        self.sent: Counter[str] = Counter()
        """How many, by the names of `sends`."""
        self.latest_seconds = 0.0
        """How late a request was sent, since no thread was free."""
        self.slowest_seconds = 0.0

    def __enter__(self) -> Self:
        self._began_at = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _send(self) -> None:
        for number in self._numbers:
            due_at = self._began_at + number / self._per_second
            if self._stop.wait(max(0, due_at - time.monotonic())):
                return
            send, sent_at = self._sends[number % len(self._sends)], time.monotonic()
            self.latest_seconds = max(self.latest_seconds, sent_at - due_at)
            try:
                send(number)
            except Exception as error:
                told = f"{sent_at - self._began_at:.3f} s: {send.__name__}: {error!r}"
                self.failed.append(told)
            self.slowest_seconds = max(self.slowest_seconds, time.monotonic() - sent_at)
            self.sent[send.__name__] += 1
