"""How many requests did each endpoint get, and with which outcome? Exact under concurrency."""

from collections import Counter
from threading import Lock


class Counts:
    """Counters by dotted name, such as `token.refresh_token.ok`."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counter: Counter[str] = Counter()

    def add(self, *names: str) -> None:
        with self._lock:
            self._counter.update(names)

    def listing(self) -> dict[str, int]:
        with self._lock:
            return dict(sorted(self._counter.items()))

    def clear(self) -> None:
        with self._lock:
            self._counter.clear()
