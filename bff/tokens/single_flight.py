"""How does one thread do the work for all threads that need the same result at the same time?"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from bff.core import operations
from bff.core.errors import ProviderUnavailable
from bff.core.work_slots import Waiting

T = TypeVar("T")


class _Call(Generic[T]):
    def __init__(self) -> None:
        self.done = threading.Event()
        self.result: T | None = None
        self.error: BaseException | None = None


class SingleFlight(Generic[T]):
    """Lets one caller for each name do the work; the others get its result.

    Args:
        wait_seconds: How long a caller waits for another one's work.
    """

    def __init__(self, wait_seconds: float) -> None:
        self._wait_seconds = wait_seconds
        self._under_way: dict[str, _Call[T]] = {}
        self._lock = threading.Lock()

    def share(self, name: str, work: Callable[[], T]) -> T:
        """Do *work*, or wait for a caller that is doing it; its error is raised here too.

        Raises:
            ProviderUnavailable: The other caller took longer than `wait_seconds`.
        """
        while True:
            call, mine = self._join(name)
            if mine:
                result = self._run(name, call, work)
                assert result is not None  # noqa: S101 - Says the type of *work*.
                return result
            with Waiting(), operations.begun("refresh_wait", "process"):
                done = call.done.wait(self._wait_seconds)
            if not done:
                raise ProviderUnavailable("another request did not finish refreshing in time")
            if call.error is not None:
                raise call.error
            if call.result is not None:
                return call.result
            # That caller ended without a result: `try_alone` doesn't wait for the lock, this does.

    def try_alone(self, name: str, work: Callable[[], T | None]) -> T | None:
        """Do *work*; return None at once if another caller is doing it."""
        call, mine = self._join(name)
        return self._run(name, call, work) if mine else None

    def _join(self, name: str) -> tuple[_Call[T], bool]:
        with self._lock:
            call = self._under_way.get(name)
            if call is not None:
                return call, False
            call = self._under_way[name] = _Call()
            return call, True

    def _run(self, name: str, call: _Call[T], work: Callable[[], T | None]) -> T | None:
        try:
            call.result = work()
            return call.result
        except BaseException as error:
            call.error = error
            raise
        finally:
            with self._lock:
                del self._under_way[name]
            call.done.set()
